; SPDX-License-Identifier: BSD-2-Clause
;
; Where the CPU arrives for every vector: interrupts off, on the stack of whoever was
; interrupted or on an IST stack, RSP aligned by the CPU. Each stub completes the frame of
; struct trap_frame (arch/x86/interrupt.h), and all end in interrupt_dispatch(frame). The
; hypervisor has only ring 0, so the GS base is always its own.

%define VECTOR_COUNT 256

extern interrupt_dispatch
global idt_stub_table

section .text

%macro STUB 1
	align 16
stub_%1:
%if !(%1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30)
	push 0				; the CPU pushed no error code
%endif
	push %1
	jmp interrupt_common
%endmacro

%assign vector 0
%rep VECTOR_COUNT
	STUB vector
%assign vector vector + 1
%endrep

interrupt_common:
	push rax
	push rbx
	push rcx
	push rdx
	push rsi
	push rdi
	push rbp
	push r8
	push r9
	push r10
	push r11
	push r12
	push r13
	push r14
	push r15
	mov rdi, rsp
	cld
	call interrupt_dispatch
	pop r15
	pop r14
	pop r13
	pop r12
	pop r11
	pop r10
	pop r9
	pop r8
	pop rbp
	pop rdi
	pop rsi
	pop rdx
	pop rcx
	pop rbx
	pop rax
	add rsp, 16			; vector and error code
	iretq

section .rodata
	align 8
idt_stub_table:
%assign vector 0
%rep VECTOR_COUNT
	dq stub_ %+ vector
%assign vector vector + 1
%endrep

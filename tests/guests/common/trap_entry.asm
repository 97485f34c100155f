; SPDX-License-Identifier: BSD-2-Clause
; 256 gates to one C function: each stub makes the stack look the same (an error code of 0
; where the CPU pushes none), and trap_common saves the registers as struct trap_frame.

extern trap_dispatch
global trap_stubs

section .text
bits 64
	align	16
trap_stubs:
%assign vector 0
%rep 256
	align	16
%if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && \
	vector != 29 && vector != 30
	push	0
%endif
	push	strict dword vector
	jmp	near trap_common
%assign vector vector + 1
%endrep

	align	16
trap_common:
	push	rax
	push	rcx
	push	rdx
	push	rbx
	push	rbp
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp
	call	trap_dispatch
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rbp
	pop	rbx
	pop	rdx
	pop	rcx
	pop	rax
	add	rsp, 16
	iretq

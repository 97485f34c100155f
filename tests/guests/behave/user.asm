; SPDX-License-Identifier: BSD-2-Clause
; Ring 3 and back, and the short code sequences that probes run or step through: what must
; be exact to the instruction. The C side is exception.c.

%include "tests/guests/common/selectors.inc"

global user_enter, user_leave, user_misaligned, user_hlt, user_in, user_cpuid, user_syscall
global syscall_entry, step_sequence, step_after_cpuid, step_after_out, step_end
global breakpoint_sequence, breakpoint_here, hlt_sequence, hlt_after

section .text
bits 64

; uint64_t user_enter(code): saves the callee's registers and goes to ring 3 at `code`, on
; a stack of its own. user_leave(value), called from the handler of INT 0x80, returns here.
user_enter:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[kernel_rsp], rsp
	push	USER_DS | 3
	push	user_stack_end
	push	2
	push	USER_CS | 3
	push	rdi
	iretq

user_leave:
	mov	rsp, [kernel_rsp]
	mov	rax, rdi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

user_misaligned:
	pushfq
	or	dword [rsp], 1 << 18		; AC
	popfq
	mov	eax, [user_stack_start + 1]
	int	0x80

user_hlt:
	hlt
	int	0x80

user_in:
	in	al, 0x80
	int	0x80

user_cpuid:
	xor	eax, eax
	cpuid
	mov	eax, ebx
	int	0x80

; Two system calls; the result shows that rax, rcx and r11 went round as they must.
user_syscall:
	mov	edi, 40
	syscall
.back:
	lea	rdx, [.back]
	cmp	rcx, rdx
	jne	.wrong
	mov	rdi, rax
	syscall
	int	0x80
.wrong:
	xor	eax, eax
	int	0x80

; Like a kernel: rcx = return address, r11 = flags, still on the user's stack.
syscall_entry:
	lea	rax, [rdi + 1]
	o64 sysret

; Stepped through with TF set by the POPF: a #DB after each of the instructions.
step_sequence:
	push	rbx
	pushfq
	or	dword [rsp], 1 << 8
	popfq
	nop
	cpuid
step_after_cpuid:
	nop
	mov	edx, 0x1230
	out	dx, eax
step_after_out:
	nop
	in	al, dx
	nop
	pushfq
	and	dword [rsp], ~(1 << 8)
	popfq
step_end:
	pop	rbx
	ret

breakpoint_sequence:
	nop
breakpoint_here:
	nop
	ret

; An interrupt is pending when this is called: it must be taken after the HLT began.
hlt_sequence:
	sti
	hlt
hlt_after:
	cli
	ret

section .bss
	alignb	16
kernel_rsp:	resq 1
user_stack_start:
		resb 4096
user_stack_end:

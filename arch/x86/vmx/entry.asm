; SPDX-License-Identifier: BSD-2-Clause
;
; int vmx_run(struct virt_vcpu *vcpu): into the guest and back. On arrival: rdi is the vCPU,
; its VMCS is current with all of the host state but RSP, interrupts are off. On an exit the
; CPU arrives at vmx_exit_point with the host's CRs, segments, MSRs and RSP (where the vCPU
; lies), RFLAGS clear, and every other register the guest's. Returns 0; 1: not entered.

bits 64

%define VMX_OFFSET(name, value) name equ value
%include "arch/x86/vmx/asm_offsets.inc"

; `moves load` and `moves store`: all but rsp and rdi, by their numbers (enum gpr).
%macro moves 1
	%1 rax, 0
	%1 rcx, 1
	%1 rdx, 2
	%1 rbx, 3
	%1 rbp, 5
	%1 rsi, 6
%assign number 8
%rep 8
	%1 r %+ number, number
%assign number number + 1
%endrep
%endmacro
%macro load 2
	mov	%1, [rdi + %2 * 8]
%endmacro
%macro store 2
	mov	[rdi + %2 * 8], %1
%endmacro

section .text

global vmx_run:function
vmx_run:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi
	cmp	rsp, [rdi + VCPU_HOST_RSP]
	jne	.new_stack
.enter:	cmp	byte [rdi + VCPU_LAUNCHED], 0
	moves	load				; leaves the flags alone
	mov	rdi, [rdi + 7 * 8]
	je	.launch
	vmresume
	jmp	.refused
.launch:
	vmlaunch
.refused:					; still here: VMfail
	mov	eax, 1
	pop	rdi
	jmp	return
.new_stack:
	mov	eax, FIELD_HOST_RSP
	vmwrite	rax, rsp
	jbe	.refused
	mov	[rdi + VCPU_HOST_RSP], rsp
	jmp	.enter

global vmx_exit_point:function
vmx_exit_point:
	push	rdi
	mov	rdi, [rsp + 8]
	moves	store
	pop	qword [rdi + 7 * 8]
	pop	rdi
	xor	eax, eax			; nothing of the guest's stays for speculation;
	xor	ecx, ecx			; the other registers are overwritten below
	xor	edx, edx
	xor	esi, esi
%assign number 8
%rep 4
	xor	r %+ number, r %+ number
%assign number number + 1
%endrep
return:	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

section .note.GNU-stack noalloc noexec nowrite progbits

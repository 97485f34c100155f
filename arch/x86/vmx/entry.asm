; SPDX-License-Identifier: BSD-2-Clause
;
; int vmx_run(struct virt_vcpu *vcpu): into the guest and back. On arrival: rdi is the vCPU,
; its VMCS is current with all of the host state but RSP, interrupts are off. On an exit the
; CPU arrives at vmx_exit_point with the host's CRs, segments, MSRs and RSP (where the vCPU
; lies), RFLAGS clear, and every other register the guest's. Returns 0; 1: not entered.

bits 64
%define VMX_OFFSET(name, value) name equ value
%include "arch/x86/vmx/asm_offsets.inc"

%macro each 2-*			; each push, rax, rcx: push rax; push rcx
%define %%what %1
%rep %0 - 1
%rotate 1
	%%what	%1
%endrep
%endmacro
%macro number 1			; VCPU_rax and so on, in the order of enum gpr
VCPU_%1	equ next * 8
%assign next next + 1
%endmacro
%assign next 0
	each number, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
%macro load 1
	mov	%1, [rdi + VCPU_%1]
%endmacro
%macro store 1
	mov	[rdi + VCPU_%1], %1
%endmacro
%macro clear 1
	xor	%1, %1
%endmacro

section .text
global vmx_run:function, vmx_exit_point:function

vmx_run:
	each push, rbx, rbp, r12, r13, r14, r15, rdi
	cmp	rsp, [rdi + VCPU_HOST_RSP]
	jne	.new_stack
.enter:	cmp	byte [rdi + VCPU_LAUNCHED], 0
	each load, rax, rcx, rdx, rbx, rbp, rsi, r8, r9, r10, r11, r12, r13, r14, r15, rdi
	je	.launch			; loads leave the flags alone; rdi was the last of them
	vmresume
	jmp	.refused
.launch:
	vmlaunch
.refused:				; still here: VMfail
	pop	rdi
	mov	eax, 1
	jmp	return
.new_stack:
	mov	eax, FIELD_HOST_RSP
	vmwrite	rax, rsp
	jbe	.refused
	mov	[rdi + VCPU_HOST_RSP], rsp
	jmp	.enter

vmx_exit_point:
	push	rdi
	mov	rdi, [rsp + 8]
	each store, rax, rcx, rdx, rbx, rbp, rsi, r8, r9, r10, r11, r12, r13, r14, r15
	pop	qword [rdi + VCPU_rdi]
	pop	rdi
	each clear, rax, rcx, rdx, rsi, r8, r9, r10, r11	; no value of the guest's stays
return:	each pop, r15, r14, r13, r12, rbp, rbx
	ret

section .note.GNU-stack noalloc noexec nowrite progbits

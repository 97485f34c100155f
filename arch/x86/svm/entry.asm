; SPDX-License-Identifier: BSD-2-Clause
;
; Into an AMD guest and back: svm_run() of arch/x86/svm/svm.h.
; On arrival: rdi struct vcpu_regs (16 registers in ModRM order), rsi the VMCB's and rdx the
; host save page's physical address, ecx 1 for an interrupt shadow; IF = 0, GIF = 1.
;
; With GIF = 0 nothing can come in, not even an NMI, so GS and TR may be the guest's for a
; while. IF = 1 meanwhile: with V_INTR_MASKING it is the host's IF that lets a physical
; interrupt end the guest's run. RAX, RSP, RIP and RFLAGS are in the VMCB.
;
; And svm_host_tpr_clear(): TPR = 0.

bits 64
section .text

%define REG(n) [rdi + 8 * (n)]

; `%1 number, register` for every register that the CPU does not switch, but RDI.
%macro EACH_REGISTER 1
	%1	1, rcx
	%1	2, rdx
	%1	3, rbx
	%1	5, rbp
	%1	6, rsi
	%1	8, r8
	%1	9, r9
	%1	10, r10
	%1	11, r11
	%1	12, r12
	%1	13, r13
	%1	14, r14
	%1	15, r15
%endmacro
%macro LOAD 2
	mov	%2, REG(%1)
%endmacro
%macro STORE 2
	mov	REG(%1), %2
%endmacro

global svm_run:function
svm_run:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdx
	push	rdi
	mov	rax, rsi
	clgi
	test	ecx, ecx		; ZF stays as it is up to .run
	jnz	.load
	sti				; its own shadow ends with vmload
.load:	vmload
	EACH_REGISTER LOAD
	mov	rdi, REG(7)
	jz	.run
	sti				; some CPUs take the shadow from here, not from the VMCB
.run:	vmrun				; back with the host's rax and rsp, GIF = 0, IF = 1
	vmsave
	push	rdi
	mov	rdi, [rsp + 8]
	EACH_REGISTER STORE
	pop	qword REG(7)
	mov	rax, [rsp + 8]
	vmload				; the host's GS base and TR
	cli
	stgi				; a pending NMI is taken here
	add	rsp, 16
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

global svm_host_tpr_clear:function
svm_host_tpr_clear:
	xor	eax, eax
	mov	cr8, rax
	ret

; SPDX-License-Identifier: BSD-2-Clause
; Loads registers with a pattern, does `count` rounds of instructions that exit to a
; hypervisor, and stores the registers again. No C in between, so nothing else touches them.

global registers_general, registers_sse, registers_avx, registers_x87

section .text
bits 64

; One round: CPUID, IN, OUT, in every function below; rax, rbx, rcx, rdx are lost.
%macro EXITS 0
	xor	eax, eax
	xor	ecx, ecx
	cpuid
	mov	edx, 0x1230
	in	eax, dx
	out	dx, al
%endmacro

; registers_sse(pattern[16][16], result[16][16], count)
registers_sse:
	push	rbx
	mov	r8, rdx
%assign n 0
%rep 16
	movups	xmm%[n], [rdi + 16 * n]
%assign n n + 1
%endrep
.round:
	EXITS
	dec	r8
	jnz	.round
%assign n 0
%rep 16
	movups	[rsi + 16 * n], xmm%[n]
%assign n n + 1
%endrep
	pop	rbx
	ret

; registers_avx(pattern[16][32], result[16][32], count)
registers_avx:
	push	rbx
	mov	r8, rdx
%assign n 0
%rep 16
	vmovups	ymm%[n], [rdi + 32 * n]
%assign n n + 1
%endrep
.round:
	EXITS
	dec	r8
	jnz	.round
%assign n 0
%rep 16
	vmovups	[rsi + 32 * n], ymm%[n]
%assign n n + 1
%endrep
	vzeroupper
	pop	rbx
	ret

; registers_x87(pattern[8], result[8], count): eight doubles on the stack
registers_x87:
	push	rbx
	mov	r8, rdx
	fninit
%assign n 0
%rep 8
	fld	qword [rdi + 8 * n]
%assign n n + 1
%endrep
.round:
	EXITS
	dec	r8
	jnz	.round
%assign n 7
%rep 8
	fstp	qword [rsi + 8 * n]
%assign n n - 1
%endrep
	pop	rbx
	ret

; registers_general(pattern[10], result[10], count): rbp, rsi, rdi, r8-r14 and an MMIO read
registers_general:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	rsi
	mov	r15, rdx
	mov	rbp, [rdi]
	mov	rsi, [rdi + 16]
	mov	r8, [rdi + 24]
	mov	r9, [rdi + 32]
	mov	r10, [rdi + 40]
	mov	r11, [rdi + 48]
	mov	r12, [rdi + 56]
	mov	r13, [rdi + 64]
	mov	r14, [rdi + 72]
	mov	rdi, [rdi + 8]
.round:
	EXITS
	mov	ebx, 0xfee00000
	mov	ebx, [rbx + 0x30]
	dec	r15
	jnz	.round
	pop	rbx
	mov	[rbx], rbp
	mov	[rbx + 8], rdi
	mov	[rbx + 16], rsi
	mov	[rbx + 24], r8
	mov	[rbx + 32], r9
	mov	[rbx + 40], r10
	mov	[rbx + 48], r11
	mov	[rbx + 56], r12
	mov	[rbx + 64], r13
	mov	[rbx + 72], r14
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

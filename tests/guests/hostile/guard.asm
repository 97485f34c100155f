; SPDX-License-Identifier: BSD-2-Clause
; Keeps the attacker alive. guard_run(attack) calls an attack; whatever exception, NMI or
; interrupt comes meanwhile, in whatever ring and segment, lands on an IST stack at an
; address of its own, throws the attack away, puts the CPU back, and returns to the caller.
; sandbox_enter() goes to code that cannot write here (guard.c has the two address spaces).

%include "tests/guests/common/selectors.inc"

extern boot_pml4, trap_idt, guest_tss, hostile_died
global guard_run, guard_stubs, guard_storm_stub, guard_setup, guard_vector, guard_traps
global guard_armed, sandbox_enter, hostile_gdt, tables_nonsense

MSR_EFER	equ 0xc0000080
LAPIC_EOI	equ 0xfee000b0
NMI		equ 2

section .text
bits 64

; void guard_run(void (*attack)(void)); called with interrupts off.
guard_run:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	sub	rsp, 8
	mov	[guard_rsp], rsp
	mov	dword [guard_armed], 1
	call	rdi
	push	2
	popfq

; Idempotent: an NMI may come in the middle and start it again.
restore:
	mov	rsp, [guard_rsp]
	mov	ecx, MSR_EFER
	mov	eax, [good_efer]
	xor	edx, edx
	wrmsr
	mov	rax, [good_cr0]
	mov	cr0, rax
	mov	rax, [good_cr4]
	mov	cr4, rax
	mov	rax, boot_pml4
	mov	cr3, rax
	lgdt	[gdt_pointer]
	lidt	[idt_pointer]
	mov	byte [hostile_gdt + TSS_SELECTOR + 5], 0x89
	mov	eax, TSS_SELECTOR
	ltr	ax
	xor	eax, eax
	lldt	ax
	mov	dr7, rax
	mov	cr8, rax
	mov	fs, eax
	mov	gs, eax
	mov	eax, KERNEL_DS
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	push	KERNEL_CS
	push	.reloaded
	retfq
.reloaded:
	mov	dword [guard_armed], 0
	add	rsp, 8
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

	align	16
guard_stubs:
%assign vector 0
%rep 256
	align	16
	push	strict dword vector
	jmp	near trapped
%assign vector vector + 1
%endrep

trapped:
	cmp	dword [rel guard_armed], 0
	je	.not_armed
	mov	rax, boot_pml4
	mov	cr3, rax
	pop	qword [guard_vector]
	inc	qword [guard_traps]
	mov	rsp, [guard_rsp]
	push	KERNEL_DS		; an IRET, so that NMIs are open again
	push	qword [guard_rsp]
	push	2
	push	KERNEL_CS
	push	restore
	iretq
.not_armed:
	cmp	dword [rsp], NMI	; the watchdog came too late: no harm
	jne	.dead
	add	rsp, 8
	iretq
.dead:
	pop	rdi
	mov	rsi, [rsp]
	mov	rdx, [rsp + 8]
	call	hostile_died

; For interrupt storms: acknowledge and go on.
guard_storm_stub:
	push	rax
	mov	eax, LAPIC_EOI
	mov	dword [rax], 0
	pop	rax
	iretq

; Takes the CPU as it is for the good state, and our own GDT.
guard_setup:
	mov	ecx, MSR_EFER
	rdmsr
	mov	[good_efer], eax
	mov	rax, cr0
	mov	[good_cr0], rax
	mov	rax, cr4
	mov	[good_cr4], rax
	mov	rax, guest_tss
	mov	[hostile_gdt + TSS_SELECTOR + 2], ax
	shr	rax, 16
	mov	[hostile_gdt + TSS_SELECTOR + 4], al
	mov	[hostile_gdt + TSS_SELECTOR + 7], ah
	lgdt	[gdt_pointer]
	mov	eax, TSS_SELECTOR
	ltr	ax
	ret

; sandbox_enter(const struct sandbox_entry *entry, uint64_t cr3): never returns by itself.
; The entry is read as a stack: 15 registers and an IRET frame.
sandbox_enter:
	mov	rsp, rdi
	mov	cr3, rsi
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
	iretq

; tables_nonsense(descriptor): GDT and IDT at a random place, some exits, and back; with
; interrupts off, so that only an NMI or an exit handled badly can find out.
tables_nonsense:
	push	rbx
	lidt	[rdi]
	lgdt	[rdi + 16]
	xor	eax, eax
	cpuid
	in	al, 0x80
	mov	eax, 0xfee00030
	mov	eax, [rax]
	lgdt	[gdt_pointer]
	lidt	[idt_pointer]
	pop	rbx
	ret

section .data
	align	16
; As the common GDT, with the accessed bits set (it is read-only for the sandbox), and with
; 16-bit segments that begin at SANDBOX.
SANDBOX		equ 0x400000
hostile_gdt:
	dq	0
	dq	0x00af9b000000ffff			; KERNEL_CS
	dq	0x00cf93000000ffff			; KERNEL_DS
	dq	0x00cf9b000000ffff			; CODE32
	dq	0x00009b000000ffff | SANDBOX << 16	; CODE16
	dq	0x000093000000ffff | SANDBOX << 16	; DATA16
	dq	0x00cffb000000ffff			; USER_CODE32
	dq	0x00cff3000000ffff			; USER_DS
	dq	0x00affb000000ffff			; USER_CS
	dw	103, 0, 0x8900, 0			; TSS_SELECTOR
	dq	0
	dq	0x0000fb000000ffff | SANDBOX << 16	; USER_CODE16
	dq	0x0000f3000000ffff | SANDBOX << 16	; USER_DATA16
	dq	0x00008200000000ff | SANDBOX << 16	; an LDT of random bytes
	dq	0
gdt_end:
gdt_pointer:
	dw	gdt_end - hostile_gdt - 1
	dq	hostile_gdt
idt_pointer:
	dw	4095
	dq	trap_idt

	align	8
guard_rsp:	dq 0
guard_vector:	dq 0
guard_traps:	dq 0
good_cr0:	dq 0
good_cr4:	dq 0
good_efer:	dd 0
guard_armed:	dd 0

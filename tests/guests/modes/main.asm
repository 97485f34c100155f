; SPDX-License-Identifier: BSD-2-Clause
; A raw image that walks through the CPU's modes by itself: real, big real, 16-bit protected,
; 32-bit protected, PAE paging, long, compatibility, and back to real. In each it does port
; I/O of all sizes, CPUID, and INT n through that mode's table, and prints one line. Arrives
; at 0:7c00 in real mode, whole or (started by a BIOS from a disk) with its first sector only.
; One idea: [step] is the number of the check under way; 0 at a mode's end means all passed.

COM1_DATA	equ 0x3f8
COM1_LSR	equ 0x3fd
COM1_SCRATCH	equ 0x3ff
FREE_PORT	equ 0x1230
DEBUG_EXIT	equ 0xf4
TAIL_MAGIC	equ 0x6c696174
BIG		equ 0x200000		; above 64 KiB and 1 MiB, with bit 20 clear
TABLES		equ 0x20000		; page tables: 6 pages
SCRATCH		equ 0x30000
INT_VECTOR	equ 0x60
IRQ_VECTOR	equ 0x20

CODE16		equ 0x08
DATA16		equ 0x10
CODE32		equ 0x18
DATA32		equ 0x20
CODE64		equ 0x28
FAR16		equ 0x30		; data, base SCRATCH
TSS32		equ 0x38

org 0x7c00
bits 16
start:
	cli
	cld
	jmp	0:.flat
.flat:
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7c00
	cmp	dword [tail], TAIL_MAGIC
	je	real_mode
	mov	ah, 0x42		; BIOS: the rest of the sectors from disk dl
	mov	si, disk_packet
	int	0x13
	cli
	cmp	dword [tail], TAIL_MAGIC
	je	real_mode
.lost:
	hlt
	jmp	.lost

disk_packet:
	db	16, 0
	dw	(image_end - start) / 512 - 1
	dw	0x7e00, 0
	dq	1

	times 510 - ($ - start) db 0
	dw	0xaa55

; --- checks that are the same source in every mode ---

%macro PASSED 0
	inc	byte [step]
%endmacro

%macro CHECK_IO 1			; %1: where a failed check goes
	mov	dx, COM1_SCRATCH
	mov	al, 0x5a
	out	dx, al
	xor	eax, eax
	in	al, dx
	cmp	eax, 0x5a
	jne	%1
	PASSED
	mov	dx, FREE_PORT
	mov	eax, 0x12345678
	in	al, dx
	cmp	eax, 0x123456ff
	jne	%1
	in	ax, dx
	cmp	eax, 0x1234ffff
	jne	%1
	in	eax, dx
	cmp	eax, -1
	jne	%1
	out	dx, al
	out	dx, ax
	out	dx, eax
	PASSED
%endmacro

%macro CHECK_STRING_IO 1		; leaves si/di, count and direction as the mode has them
	mov	esi, string_bytes
	mov	ecx, 3
	mov	dx, COM1_SCRATCH
	rep	outsb
	cmp	esi, string_bytes + 3
	jne	%1
	test	ecx, ecx
	jnz	%1
	mov	edi, string_target
	mov	ecx, 4
	rep	insb
	cmp	dword [string_target], 0xa7a7a7a7
	jne	%1
	cmp	edi, string_target + 4
	jne	%1
	PASSED
%endmacro

%macro CHECK_CPUID 1
	xor	eax, eax
	cpuid
	test	eax, eax
	jz	%1
	mov	edi, ebx
	xor	eax, eax
	db	0x66			; a prefix that means nothing to CPUID
	cpuid
	cmp	ebx, edi
	jne	%1
	PASSED
%endmacro

%macro CHECK_INT 1
	mov	dword [int_count], 0
	mov	eax, 0x11223344
	int	INT_VECTOR
	cmp	dword [int_count], 1
	jne	%1
	cmp	eax, 0x11223344
	jne	%1
	PASSED
%endmacro

; --- the serial line and the verdict, once for each operand size ---

%macro ROUTINES 1			; %1: 16, 32 or 64
bits %1
print%1:				; esi: text
	mov	bl, [esi]
	test	bl, bl
	jz	.end
	mov	dx, COM1_LSR
.busy:
	in	al, dx
	test	al, 0x20
	jz	.busy
	mov	al, bl
	mov	dx, COM1_DATA
	out	dx, al
	inc	esi
	jmp	print%1
.end:
	ret

verdict%1:				; edi: name of the mode
	mov	esi, text_modes
	call	print%1
	mov	esi, edi
	call	print%1
	cmp	byte [step], 0
	jne	.failed
	inc	dword [passed_count]
	mov	esi, text_ok
	call	print%1
	jmp	.next
.failed:
	inc	dword [failed_count]
	mov	al, [step]
	add	al, '0'
	cmp	al, '9'
	jbe	.digit
	add	al, 'a' - '9' - 1
.digit:
	mov	[text_step], al
	mov	esi, text_failed
	call	print%1
.next:
	mov	byte [step], 1
	ret
%endmacro

ROUTINES 16
ROUTINES 32
ROUTINES 64

; --- real mode ---
bits 16
real_mode:
	mov	si, serial_setup
.setup:
	lodsw				; pairs of port - COM1_DATA and value
	mov	dx, COM1_DATA
	add	dl, al
	mov	al, ah
	out	dx, al
	cmp	si, serial_setup_end
	jne	.setup
	mov	esi, text_start
	call	print16
	mov	word [INT_VECTOR * 4], int_real
	mov	word [INT_VECTOR * 4 + 2], 0
	mov	word [IRQ_VECTOR * 4], irq_real
	mov	word [IRQ_VECTOR * 4 + 2], 0
	CHECK_IO .verdict
	CHECK_STRING_IO .verdict
	CHECK_CPUID .verdict
	CHECK_INT .verdict
	smsw	ax
	test	al, 1
	jnz	.verdict
	PASSED
	mov	ax, SCRATCH >> 4		; segment = base / 16
	mov	es, ax
	mov	dword [es:4], 0x76543210
	mov	ax, (SCRATCH >> 4) - 1
	mov	fs, ax
	cmp	dword [fs:20], 0x76543210
	jne	.verdict
	xor	ax, ax
	mov	es, ax
	PASSED
	push	cs
	call	.far_return			; a far call, in two halves
	cmp	sp, 0x7c00
	jne	.verdict
	PASSED
	call	timer_interrupt
	cmp	dword [irq_count], 1
	jne	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_real
	call	verdict16
	jmp	big_real
.far_return:
	retf

; The 8259s at vector 0x20, one shot of the 8254 after about 1 ms, and HLT until it comes.
timer_interrupt:
	mov	al, 0x11
	out	0x20, al
	mov	al, IRQ_VECTOR
	out	0x21, al
	mov	al, 4
	out	0x21, al
	mov	al, 1
	out	0x21, al
	mov	al, 0xfe
	out	0x21, al
	mov	dword [irq_count], 0
	mov	al, 0x30
	out	0x43, al
	mov	al, 1200 & 0xff
	out	0x40, al
	mov	al, 1200 >> 8
	out	0x40, al
.wait:
	sti
	hlt
	cli
	cmp	dword [irq_count], 0
	je	.wait
	mov	al, 0xff
	out	0x21, al
	ret

int_real:
	inc	dword [cs:int_count]
	iret
irq_real:
	inc	dword [cs:irq_count]
	push	ax
	mov	al, 0x20
	out	0x20, al
	pop	ax
	iret

; --- big real mode: a 4 GiB limit kept in DS after a visit to protected mode ---
big_real:
	lgdt	[gdt_pointer]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	mov	bx, DATA32
	mov	fs, bx
	and	al, 0xfe
	mov	cr0, eax
	mov	ebx, BIG
	mov	dword [fs:ebx], 0xcafef00d
	xor	ax, ax
	cmp	dword [fs:ebx], 0xcafef00d	; the base is still 0, the limit still 4 GiB
	jne	.verdict
	PASSED
	CHECK_INT .verdict
	CHECK_IO .verdict
	cmp	dword [fs:ebx], 0xcafef00d
	jne	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_big_real
	call	verdict16

; --- 16-bit protected mode, entered by LMSW ---
	lidt	[idt16_pointer]
	smsw	ax
	or	al, 1
	lmsw	ax
	jmp	CODE16:protected16
protected16:
	mov	ax, DATA16
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	xor	ax, ax
	mov	fs, ax
	mov	gs, ax
	xor	ax, ax
	lmsw	ax				; cannot clear PE
	smsw	ax
	test	al, 1
	jz	.verdict
	PASSED
	or	al, 8
	lmsw	ax
	smsw	ax
	test	al, 8				; TS
	jz	.verdict
	clts
	mov	eax, cr0
	test	al, 8
	jnz	.verdict
	PASSED
	CHECK_IO .verdict
	CHECK_STRING_IO .verdict
	CHECK_CPUID .verdict
	CHECK_INT .verdict
	mov	ax, FAR16
	mov	es, ax
	cmp	dword [es:4], 0x76543210	; written in real mode
	jne	.verdict
	PASSED
	mov	dword [resume], .after_fault
	mov	ax, 0x1000			; beyond the GDT
	mov	gs, ax
	jmp	.verdict
.after_fault:
	cmp	dword [error], 0x1000
	jne	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_protected16
	call	verdict16
	jmp	dword CODE32:protected32

int_protected16:
	inc	dword [int_count]
	iret
gp_protected16:
	pop	word [error]
	add	sp, 2
	push	word [resume]
	iret

; --- 32-bit protected mode ---
bits 32
protected32:
	mov	ax, DATA32
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	esp, 0x7c00
	lidt	[idt32_pointer]
	mov	byte [gdt + TSS32 + 5], 0x89	; not busy
	mov	ax, TSS32
	ltr	ax
	str	bx
	cmp	ax, bx
	jne	.verdict
	cmp	byte [gdt + TSS32 + 5], 0x8b
	jne	.verdict
	PASSED
	CHECK_IO .verdict
	CHECK_STRING_IO .verdict
	CHECK_CPUID .verdict
	CHECK_INT .verdict
	cmp	dword [BIG], 0xcafef00d
	jne	.verdict
	PASSED
	mov	dword [resume], .after_fault
	mov	ax, CODE32 + 0x1000
	mov	gs, ax
	jmp	.verdict
.after_fault:
	cmp	dword [error], CODE32 + 0x1000
	jne	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_protected32
	call	verdict32

; --- PAE paging: 0-2 MiB one to one, and again at 4 MiB ---
	mov	edi, TABLES
	xor	eax, eax
	mov	ecx, 6 * 1024
	rep	stosd
	mov	dword [TABLES], TABLES + 0x1000 + 1		; PDPT for PAE
	mov	dword [TABLES + 0x1000], 0x83			; page directory, 2 MiB pages
	mov	dword [TABLES + 0x1008], BIG + 0x83
	mov	dword [TABLES + 0x1010], 0x83			; the alias
	mov	dword [TABLES + 0x2000], TABLES + 0x3000 + 3	; PML4 for long mode
	mov	dword [TABLES + 0x3000], TABLES + 0x1000 + 3	; its PDPT, the same directory
	mov	eax, cr4
	or	eax, 0x20
	mov	cr4, eax
	mov	eax, TABLES
	mov	cr3, eax
	mov	eax, cr0
	or	eax, 0x80010000			; PG, WP
	mov	cr0, eax
	jmp	.paged
.paged:
	CHECK_IO .pae_verdict
	CHECK_CPUID .pae_verdict
	CHECK_INT .pae_verdict
	cmp	dword [2 * BIG + SCRATCH + 4], 0x76543210
	jne	.pae_verdict
	PASSED
	mov	dword [resume], .after_page_fault
	or	dword [0x40000010], 0		; not present, write
	jmp	.pae_verdict
.after_page_fault:
	cmp	dword [error], 0		; the read of a read-modify-write may fault
	je	.error_ok
	cmp	dword [error], 2		; or its write
	jne	.pae_verdict
.error_ok:
	mov	eax, cr2
	cmp	eax, 0x40000010
	jne	.pae_verdict
	PASSED
	mov	dword [TABLES + 0x1010], 0	; unmap the alias; INVLPG must be enough
	invlpg	[2 * BIG + SCRATCH + 4]
	mov	dword [resume], .after_unmap
	mov	eax, [2 * BIG + SCRATCH + 4]
	jmp	.pae_verdict
.after_unmap:
	mov	byte [step], 0
.pae_verdict:
	mov	edi, name_pae
	call	verdict32

; --- long mode ---
	mov	eax, cr0
	and	eax, 0x7fffffff
	mov	cr0, eax
	mov	eax, TABLES + 0x2000
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 0x100			; LME
	wrmsr
	mov	eax, cr0
	or	eax, 0x80000000
	mov	cr0, eax
	jmp	CODE64:long_mode

int_protected32:
	inc	dword [int_count]
	iret
gp_protected32:
	pop	dword [error]
	push	eax
	mov	eax, [resume]
	mov	[esp + 4], eax
	pop	eax
	iret

bits 64
long_mode:
	lidt	[idt64_pointer]
	mov	ecx, 0xc0000080
	rdmsr
	test	eax, 0x400			; LMA
	jz	.verdict
	PASSED
	mov	rax, 0x1122334455667788
	mov	r15, rax
	shr	r15, 32
	cmp	r15d, 0x11223344
	jne	.verdict
	PASSED
	CHECK_IO .verdict
	CHECK_STRING_IO .verdict
	CHECK_CPUID .verdict
	CHECK_INT .verdict
	mov	rax, cr8
	test	rax, rax
	jnz	.verdict
	PASSED
	mov	qword [resume], .after_fault
	mov	rax, 0x8000000000000000		; not canonical
	mov	rax, [rax]
	jmp	.verdict
.after_fault:
	cmp	dword [error], 0
	jne	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_long
	call	verdict64
	push	CODE32
	push	compatibility
	retfq

int_long:
	inc	dword [int_count]
	iretq
gp_long:
	pop	qword [error]
	push	rax
	mov	rax, [resume]
	mov	[rsp + 8], rax
	pop	rax
	iretq

; --- compatibility mode: 32-bit code under the 64-bit tables ---
bits 32
compatibility:
	mov	ax, DATA32
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	eax, 1
	db	0x48				; DEC EAX here, a REX prefix in long mode
	nop
	test	eax, eax
	jnz	.verdict
	PASSED
	CHECK_IO .verdict
	CHECK_STRING_IO .verdict
	CHECK_CPUID .verdict
	CHECK_INT .verdict
	mov	ecx, 0xc0000080
	rdmsr
	test	eax, 0x400
	jz	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_compatibility
	call	verdict32

; --- back: paging off ends long mode, then PE off ---
	mov	eax, cr0
	and	eax, 0x7ffeffff
	mov	cr0, eax
	mov	ecx, 0xc0000080
	rdmsr
	and	eax, ~0x100
	wrmsr
	mov	eax, cr4
	and	eax, ~0x20
	mov	cr4, eax
	jmp	CODE16:.narrow
bits 16
.narrow:
	mov	ax, DATA16
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	lidt	[ivt_pointer]
	mov	eax, cr0
	and	al, 0xfe
	mov	cr0, eax
	jmp	0:real_again

real_again:
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7c00
	mov	ecx, 0xc0000080
	rdmsr
	test	eax, 0x500			; neither LME nor LMA
	jnz	.verdict
	PASSED
	CHECK_IO .verdict
	CHECK_STRING_IO .verdict
	CHECK_CPUID .verdict
	CHECK_INT .verdict
	mov	ax, SCRATCH >> 4
	mov	es, ax
	cmp	dword [es:4], 0x76543210
	jne	.verdict
	xor	ax, ax
	mov	es, ax
	PASSED
	call	timer_interrupt
	cmp	dword [irq_count], 1
	jne	.verdict
	mov	byte [step], 0
.verdict:
	mov	edi, name_real_again
	call	verdict16

finish:
	mov	al, [passed_count]
	add	[text_passed], al
	mov	al, [failed_count]
	add	[text_failed_count], al
	mov	esi, text_summary
	call	print16
	xor	eax, eax
	cmp	dword [failed_count], 0
	setne	al
	mov	dx, DEBUG_EXIT
	out	dx, eax
	mov	esi, text_shutdown		; ends Bochs on its own
	mov	ecx, 8
	mov	dx, 0x8900
	rep	outsb
.end:
	cli
	hlt
	jmp	.end

	align	16
gdt:
	dq	0
	dq	0x00009b000000ffff		; CODE16
	dq	0x000093000000ffff		; DATA16
	dq	0x00cf9b000000ffff		; CODE32
	dq	0x00cf93000000ffff		; DATA32
	dq	0x00af9b000000ffff		; CODE64
	dq	0x000093000000ffff | (SCRATCH << 16)	; FAR16
	dq	0x0000890000000067 | (SCRATCH + 0x1000) << 16	; TSS32
gdt_end:
gdt_pointer:
	dw	gdt_end - gdt - 1
	dd	gdt

; One table a mode: vectors 13 and 14 to the fault handler, INT_VECTOR to the counter.
	align	16
idt16:
	times 13 dq 0
	dw	gp_protected16, CODE16, 0x8600, 0
	dq	0
	times INT_VECTOR - 15 dq 0
	dw	int_protected16, CODE16, 0x8600, 0
idt16_pointer:
	dw	$ - idt16 - 1
	dd	idt16
	align	16
idt32:
	times 13 dq 0
	dw	gp_protected32, CODE32, 0x8e00, 0
	dw	gp_protected32, CODE32, 0x8e00, 0
	times INT_VECTOR - 15 dq 0
	dw	int_protected32, CODE32, 0x8e00, 0
idt32_pointer:
	dw	$ - idt32 - 1
	dd	idt32
	align	16
idt64:
	times 2 * 13 dq 0
	dw	gp_long, CODE64, 0x8e00, 0
	dq	0
	dw	gp_long, CODE64, 0x8e00, 0
	dq	0
	times 2 * (INT_VECTOR - 15) dq 0
	dw	int_long, CODE64, 0x8e00, 0
	dq	0
idt64_pointer:
	dw	$ - idt64 - 1
	dq	idt64
ivt_pointer:
	dw	0x3ff
	dd	0

	align	8
resume:		dq 0
error:		dq 0
int_count:	dd 0
irq_count:	dd 0
passed_count:	dd 0
failed_count:	dd 0
step:		db 1
string_bytes:	db 0x11, 0x22, 0xa7
string_target:	dd 0

; Divisor 1, eight bits, no interrupts, FIFOs on.
serial_setup:	db 1, 0, 3, 0x80, 0, 1, 1, 0, 3, 3, 2, 7
serial_setup_end:

name_real:		db "real", 0
name_big_real:		db "big-real", 0
name_protected16:	db "protected16", 0
name_protected32:	db "protected32", 0
name_pae:		db "pae", 0
name_long:		db "long", 0
name_compatibility:	db "compatibility", 0
name_real_again:	db "real-again", 0
text_start:	db "modes: start", 13, 10, 0
text_modes:	db "modes: ", 0
text_ok:	db " ok", 13, 10, 0
text_failed:	db " FAIL at check "
text_step:	db "?", 13, 10, 0
text_summary:	db "modes: "
text_passed:	db "0 passed, "
text_failed_count: db "0 failed", 13, 10, 0
text_shutdown:	db "Shutdown"
tail:		dd TAIL_MAGIC
	align	512, db 0
image_end:

; SPDX-License-Identifier: BSD-2-Clause
; The way into C for every ELF guest. Arrives in 32-bit protected mode without paging, from
; a Multiboot 1 loader (eax = magic, ebx = mbi) or a PVH loader (ebx = start_info), and calls
; guest_start(magic or 0, pointer) in long mode with the first 4 GiB mapped one to one,
; readable, writable, executable and open to ring 3. SSE is on.

%include "tests/guests/common/selectors.inc"

extern guest_start
global multiboot_entry, pvh_entry, guest_gdt, guest_tss, boot_pml4, boot_pdpt

PTE_P_RW_US	equ 7
PTE_PS		equ 0x80
CR4_PAE_SSE	equ (1 << 5) | (1 << 9) | (1 << 10)
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
CR0_PG_WP_NE_MP	equ (1 << 31) | (1 << 16) | (1 << 5) | (1 << 1)
CR0_EM_TS_CD_NW	equ (1 << 2) | (1 << 3) | (1 << 30) | (1 << 29)

section .text
bits 32
pvh_entry:
	xor	eax, eax
multiboot_entry:
	cli
	cld
	mov	esp, boot_stack_end
	mov	ebp, eax
	mov	esi, ebx
	lgdt	[gdt_pointer]

tables:
	mov	edi, boot_pd
	mov	eax, PTE_P_RW_US | PTE_PS
	mov	ecx, 4 * 512
.large_page:
	mov	[edi], eax
	add	eax, 2 << 20
	add	edi, 8
	loop	.large_page
	mov	edi, boot_pdpt
	mov	eax, boot_pd + PTE_P_RW_US
	mov	ecx, 4
.directory:
	mov	[edi], eax
	add	eax, 4096
	add	edi, 8
	loop	.directory
	mov	dword [boot_pml4], boot_pdpt + PTE_P_RW_US

paging_on:
	mov	eax, cr4
	or	eax, CR4_PAE_SSE
	mov	cr4, eax
	mov	eax, boot_pml4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME
	wrmsr
	mov	eax, cr0
	and	eax, ~CR0_EM_TS_CD_NW
	or	eax, CR0_PG_WP_NE_MP
	mov	cr0, eax
	jmp	KERNEL_CS:long_mode

bits 64
long_mode:
	mov	eax, KERNEL_DS
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	mov	rsp, boot_stack_end
	mov	rax, guest_tss			; its base goes into the descriptor
	mov	[guest_gdt + TSS_SELECTOR + 2], ax
	shr	rax, 16
	mov	[guest_gdt + TSS_SELECTOR + 4], al
	mov	[guest_gdt + TSS_SELECTOR + 7], ah
	mov	eax, TSS_SELECTOR
	ltr	ax
	mov	edi, ebp
	mov	esi, esi
	xor	ebp, ebp
	call	guest_start
.end:
	cli
	hlt
	jmp	.end

section .data
	align	16
guest_gdt:
	dq	0
	dq	0x00af9b000000ffff		; KERNEL_CS
	dq	0x00cf93000000ffff		; KERNEL_DS
	dq	0x00cf9b000000ffff		; CODE32
	dq	0x008f9b000000ffff		; CODE16
	dq	0x008f93000000ffff		; DATA16
	dq	0x00cffb000000ffff		; USER_CODE32
	dq	0x00cff3000000ffff		; USER_DS
	dq	0x00affb000000ffff		; USER_CS
	dw	103, 0, 0x8900, 0		; TSS_SELECTOR
	dq	0
gdt_end:
gdt_pointer:
	dw	gdt_end - guest_gdt - 1
	dq	guest_gdt

	align	16
guest_tss:
	dd	0
	dq	trap_stack_end, 0, 0, 0		; rsp0-2, reserved
	times 7 dq ist_stack_end		; IST 1-7
	dd	0, 0
	dw	0, 104				; no I/O bitmap

section .bss
	alignb	4096
boot_pml4:	resb 4096
boot_pdpt:	resb 4096
boot_pd:	resb 4 * 4096
		resb 65536
boot_stack_end:
		resb 16384
trap_stack_end:
		resb 16384
ist_stack_end:

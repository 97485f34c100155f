; SPDX-License-Identifier: BSD-2-Clause
;
; Who jumps here: a Multiboot2 loader, to boot_entry, in 32-bit protected mode, paging off,
; flat segments, interrupts off, EAX = the loader's magic, EBX = physical address of its
; information, no stack. What is reached: 64-bit mode in the higher half on a stack of our
; own, and boot_main(magic, information). Nothing here reads the information.
;
; Each block stands under the name of the state that it reaches. All of .boot runs at its
; physical address; the tables and stack are in .bss, which the loader has cleared.

%define IMAGE_BASE	0xffffffff80000000
%define PHYS(symbol)	(symbol - IMAGE_BASE)

%define PAGE_PRESENT	0x001
%define PAGE_WRITE	0x002
%define PAGE_LARGE	0x080

%define MSR_EFER	0xc0000080
%define EFER_LME	(1 << 8)
%define EFER_NXE	(1 << 11)
%define CR0_PE		(1 << 0)
%define CR0_WP		(1 << 16)
%define CR0_PG		(1 << 31)
%define CR4_PAE		(1 << 5)

%define COM1		0x3f8
%define STACK_SIZE	16384

extern boot_main

; ---------------------------------------------------------------- Multiboot2 header
section .multiboot2 progbits alloc noexec nowrite align=8

header:
	dd 0xe85250d6			; magic
	dd 0				; architecture: i386, protected mode
	dd header_end - header
	dd -(0xe85250d6 + 0 + (header_end - header)) & 0xffffffff
request:				; information request, required
	dw 1, 0
	dd request_end - request
	dd 6				; memory map
request_end:
	align 8, db 0
wish:					; information request, optional
	dw 1, 1
	dd wish_end - wish
	dd 1, 3, 8, 14, 15		; command line, modules, framebuffer, RSDP old, new
wish_end:
	align 8, db 0
	dw 6, 0				; modules on page boundaries
	dd 8
	dw 0, 0				; end
	dd 8
header_end:

; ---------------------------------------------------------------- 32 bits, paging off
section .boot progbits alloc exec nowrite align=16
bits 32

global boot_entry
boot_entry:
	cli
	cld
	mov esp, PHYS(stack_end)
	mov ebp, eax			; kept: magic in EBP, information in EBX
	mov esi, ebx

interrupts_masked:			; both 8259s: the BIOS's timer would arrive as #DF
	mov al, 0xff
	out 0x21, al
	out 0xa1, al

cpuid_present:				; RFLAGS.ID can be changed
	pushfd
	pop eax
	mov ecx, eax
	xor eax, 1 << 21
	push eax
	popfd
	pushfd
	pop eax
	push ecx
	popfd
	xor eax, ecx
	mov edi, text_cpuid
	test eax, 1 << 21
	jz missing

long_mode_present:
	mov eax, 0x80000000
	cpuid
	mov edi, text_long_mode
	cmp eax, 0x80000001
	jb missing
	mov eax, 0x80000001
	cpuid
	test edx, 1 << 29
	jz missing
	mov edi, text_nx
	test edx, 1 << 20
	jz missing

tables_filled:				; one PML4, two PDPTs, four directories of 2 MiB pages
	mov eax, PHYS(pdpt_low) + (PAGE_PRESENT | PAGE_WRITE)
	mov [PHYS(pml4)], eax			; identity: for the next few instructions
	mov [PHYS(pml4) + 256 * 8], eax		; direct map
	mov dword [PHYS(pml4) + 511 * 8], PHYS(pdpt_high) + (PAGE_PRESENT | PAGE_WRITE)
	mov eax, PHYS(directories) + (PAGE_PRESENT | PAGE_WRITE)
	mov [PHYS(pdpt_high) + 510 * 8], eax	; image: the first GiB again
	xor ecx, ecx
.directory:
	mov [PHYS(pdpt_low) + ecx * 8], eax
	add eax, 4096
	inc ecx
	cmp ecx, 4
	jb .directory
	mov eax, PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE
	xor ecx, ecx
.page:
	mov [PHYS(directories) + ecx * 8], eax
	add eax, 0x200000
	inc ecx
	cmp ecx, 4 * 512
	jb .page

long_mode:
	mov eax, PHYS(pml4)
	mov cr3, eax
	mov eax, CR4_PAE
	mov cr4, eax
	mov ecx, MSR_EFER
	rdmsr
	or eax, EFER_LME | EFER_NXE
	wrmsr
	mov eax, cr0
	or eax, CR0_PG | CR0_WP | CR0_PE
	mov cr0, eax
	lgdt [gdt_register]
	jmp 0x08:code_64

; In: EDI = what this CPU lacks. Says so on COM1 (115200 8N1) and stops.
missing:
	mov esi, uart_setup
	mov ecx, 5
.setup:
	movzx edx, byte [esi]
	add edx, COM1
	mov al, [esi + 1]
	out dx, al
	add esi, 2
	loop .setup
	mov esi, text_missing
	call say
	mov esi, edi
	call say
.stop:
	cli
	hlt
	jmp .stop

; In: ESI = text, ended by 0. Waits for the UART, but not for ever.
say:
	mov ecx, 0x100000
.wait:
	mov edx, COM1 + 5
	in al, dx
	test al, 1 << 5
	loopz .wait
	lodsb
	test al, al
	jz .done
	mov edx, COM1
	out dx, al
	jmp say
.done:
	ret

; ---------------------------------------------------------------- 64 bits
bits 64

code_64:				; still at the physical address
	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov ss, eax
	xor eax, eax
	mov fs, eax
	mov gs, eax
	mov edi, ebp			; first argument: magic
	mov esi, esi			; second: information, zero-extended
	mov rax, higher_half
	jmp rax

uart_setup:				; register, value: divisor 1, 8N1, FIFO on, DTR and RTS
	db 3, 0x83, 0, 1, 1, 0, 3, 0x03, 4, 0x03
text_missing:
	db 13, 10, "bulkhead: this CPU cannot run it: ", 0
text_cpuid:
	db "no CPUID instruction", 13, 10, 0
text_long_mode:
	db "no long mode (64 bits)", 13, 10, 0
text_nx:
	db "no NX (execute disable)", 13, 10, 0

	align 8
gdt:					; accessed bits are set: the CPU need not write here
	dq 0
	dq 0x00af9b000000ffff		; 0x08: code, 64 bits
	dq 0x00cf93000000ffff		; 0x10: data
gdt_register:
	dw $ - gdt - 1
	dd gdt

section .text

higher_half:
	mov rsp, stack_end
	xor ebp, ebp			; ends the chain of frames
	call boot_main
.stop:
	cli
	hlt
	jmp .stop

section .bss.page nobits alloc noexec write align=4096

pml4:		resb 4096
pdpt_low:	resb 4096
pdpt_high:	resb 4096
directories:	resb 4 * 4096
stack:		resb STACK_SIZE
stack_end:

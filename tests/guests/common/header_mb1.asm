; SPDX-License-Identifier: BSD-2-Clause
; The Multiboot 1 header: linked into the guests that are to be started by it. The linker
; script puts it into the first 8 KiB of the file. Asks for page-aligned modules and a
; memory map; the addresses come from the ELF headers.

MB1_MAGIC	equ 0x1badb002
MB1_FLAGS	equ 3

section .multiboot
	align 4
	dd MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)

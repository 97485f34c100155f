; SPDX-License-Identifier: BSD-2-Clause
; The PVH note (Xen, "x86/HVM direct boot ABI"): linked into the guests that are to be
; started by it. One idea: note 18 holds the 32-bit entry point.

XEN_ELFNOTE_PHYS32_ENTRY equ 18

extern pvh_entry

section .note.pvh note alloc noexec nowrite align=4
	dd 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
	db "Xen", 0
	dq pvh_entry

# SPDX-License-Identifier: BSD-2-Clause
# Bulkhead's one Makefile. `make run` and `make check` do everything; see README.md.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

B       ?= build
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
NASM    ?= nasm
LD      ?= ld
NM      ?= nm
OBJCOPY ?= objcopy
PYTHON  ?= /usr/bin/python3

# One object list per folder.
LIB_OBJS      := bug log lock_order mul_div printf status string
ARCH_OBJS     := cpu cpuid gdt host_map idt interrupt lapic panic stack symbol tsc vcpu_state virt
VMX_OBJS      := setup exit state
SVM_OBJS      := setup exit state
MM_OBJS       := audit ept_format fault frames inject memslot mmu npt_format pool rmap root table
DRIVERS_OBJS  := acpi console emulator power uart
HV_OBJS       := manifest decoder
LOADER_OBJS   := bzimage elf loader raw
VDEV_OBJS     := bus vacpi vdevs vioapic vlapic vpic vpit vpm vrtc vuart
SHELL_OBJS    :=
BOOT_OBJS     := main multiboot2
ASM_OBJS      := boot/entry arch/x86/idt_stubs arch/x86/vmx/entry arch/x86/svm/entry

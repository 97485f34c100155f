/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs instructions on the CPU that runs the test, to compare an emulation with: registers and
 * flags in, registers and flags out. The code is copied to an executable page and must not
 * touch RSP; it ends where its bytes end.
 */
#ifndef TESTS_UNIT_NATIVE_H
#define TESTS_UNIT_NATIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "lib/string.h"

/* In the order of the register numbers; gpr[4] is not used. The assembly knows the offsets. */
struct native {
	uint64_t gpr[16];
	uint64_t rflags; /* 128 */
	void *code;	 /* 136 */
};

void native_enter(struct native *native);
extern uint64_t native_scratch;
uint64_t native_scratch;

__asm__(".text\n"
	".globl native_enter\n"
	".type native_enter, @function\n"
	"native_enter:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n"
	"	push %r13\n	push %r14\n	push %r15\n"
	"	push %rdi\n"
	"	mov 136(%rdi), %rax\n"
	"	mov %rax, native_scratch(%rip)\n"
	"	pushq 128(%rdi)\n"
	"	popfq\n"
	"	mov 0(%rdi), %rax\n	mov 8(%rdi), %rcx\n"
	"	mov 16(%rdi), %rdx\n	mov 24(%rdi), %rbx\n"
	"	mov 40(%rdi), %rbp\n	mov 48(%rdi), %rsi\n"
	"	mov 64(%rdi), %r8\n	mov 72(%rdi), %r9\n"
	"	mov 80(%rdi), %r10\n	mov 88(%rdi), %r11\n"
	"	mov 96(%rdi), %r12\n	mov 104(%rdi), %r13\n"
	"	mov 112(%rdi), %r14\n	mov 120(%rdi), %r15\n"
	"	mov 56(%rdi), %rdi\n"
	"	call *native_scratch(%rip)\n"
	"	xchg %rdi, (%rsp)\n"
	"	mov %rax, 0(%rdi)\n	mov %rcx, 8(%rdi)\n"
	"	mov %rdx, 16(%rdi)\n	mov %rbx, 24(%rdi)\n"
	"	mov %rbp, 40(%rdi)\n	mov %rsi, 48(%rdi)\n"
	"	mov %r8, 64(%rdi)\n	mov %r9, 72(%rdi)\n"
	"	mov %r10, 80(%rdi)\n	mov %r11, 88(%rdi)\n"
	"	mov %r12, 96(%rdi)\n	mov %r13, 104(%rdi)\n"
	"	mov %r14, 112(%rdi)\n	mov %r15, 120(%rdi)\n"
	"	pushfq\n"
	"	popq 128(%rdi)\n"
	"	cld\n"
	"	pop %rax\n"
	"	mov %rax, 56(%rdi)\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n"
	"	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	ret\n");

/* `size` bytes below 2 GiB, so that 32-bit addresses reach them; `protection` as for mmap(). */
static inline void *native_memory(size_t size, int protection)
{
	void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

/* Runs `size` bytes of code with native->gpr and native->rflags. */
static inline void native_run(struct native *native, const uint8_t *code, size_t size)
{
	static uint8_t *page;

	if (!page) {
		page = native_memory(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	}
	memcpy(page, code, size);
	page[size] = 0xc3; /* RET */
	native->code = page;
	native_enter(native);
}

#endif

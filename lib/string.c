/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mem* and str* functions of C17 that the compiler and the code call. Only these: host
 * programs use libc's instead of this file. Large copies use the CPU's string instructions.
 */
#include "lib/string.h"

void *memcpy(void *restrict dest, const void *restrict src, size_t size)
{
	void *to = dest;
	size_t words = size / 8;
	size_t bytes = size % 8;

	/* The direction flag is clear by the ABI. */
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(bytes) : : "memory");
	return dest;
}

void *memmove(void *dest, const void *src, size_t size)
{
	uint8_t *to = dest;
	const uint8_t *from = src;

	if (to <= from || to >= from + size) {
		return memcpy(dest, src, size);
	}
	while (size > 0) {
		size--;
		to[size] = from[size];
	}
	return dest;
}

void *memset(void *dest, int byte, size_t size)
{
	void *to = dest;
	uint64_t pattern = (uint8_t)byte * UINT64_C(0x0101010101010101);
	size_t words = size / 8;
	size_t bytes = size % 8;

	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(pattern) : "memory");
	return dest;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *left = a;
	const uint8_t *right = b;

	for (size_t i = 0; i < size; i++) {
		if (left[i] != right[i]) {
			return left[i] - right[i];
		}
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t length = 0;

	while (s[length]) {
		length++;
	}
	return length;
}

size_t strnlen(const char *s, size_t limit)
{
	size_t length = 0;

	while (length < limit && s[length]) {
		length++;
	}
	return length;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i] || !a[i]) {
			return (uint8_t)a[i] - (uint8_t)b[i];
		}
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c) {
			return (char *)(uintptr_t)s;
		}
		if (!*s) {
			return NULL;
		}
	}
}

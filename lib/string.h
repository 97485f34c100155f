/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory and strings, freestanding. The mem* and str* functions are those of C17
 * ("String handling <string.h>"); the rest says what it does. No locale, no allocation.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict dest, const void *restrict src, size_t size);
void *memmove(void *dest, const void *src, size_t size);
void *memset(void *dest, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strchr(const char *s, int c);

/* Copies `src`, cut to size - 1 bytes, always ends it with NUL; false when it was cut. */
bool string_copy(char *dest, size_t size, const char *src);

/* True when `s` begins with `prefix`. */
bool string_starts_with(const char *s, const char *prefix);

/*
 * Parses all of `s` as an unsigned number: decimal, or hexadecimal after 0x. False (and
 * *value untouched) when it is empty, has another character in it, or does not fit.
 */
bool string_to_u64(const char *s, uint64_t *value);

/* As string_to_u64, with an optional suffix K, M, G or T (powers of 1024). */
bool string_to_size(const char *s, uint64_t *value);

/*
 * printf into a buffer, always NUL-terminated when size > 0. Returns the length that the
 * whole text has, as snprintf does. Conversions: %d %i %u %x %X %c %s %p %%, flags 0 - and
 * space for width, a width and a precision (numbers or *), lengths hh h l ll z.
 */
int string_format(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int string_vformat(char *buffer, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

#endif

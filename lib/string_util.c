/* SPDX-License-Identifier: BSD-2-Clause */
/* The string helpers that C17 does not have: copying with a bound, parsing numbers. */
#include "lib/bits.h"
#include "lib/string.h"

bool string_copy(char *dest, size_t size, const char *src)
{
	size_t length = strnlen(src, size);
	bool fits = length < size;

	if (size == 0) {
		return false;
	}
	if (!fits) {
		length = size - 1;
	}
	memcpy(dest, src, length);
	dest[length] = '\0';
	return fits;
}

bool string_starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	if (c >= 'A' && c <= 'F') {
		return c - 'A' + 10;
	}
	return 99;
}

/* Parses the digits at `s`; returns what follows them, or NULL when there is no number. */
static const char *parse_number(const char *s, uint64_t *value)
{
	unsigned int radix = 10;
	uint64_t result = 0;
	const char *start;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		radix = 16;
		s += 2;
	}
	for (start = s; digit_value(*s) < (int)radix; s++) {
		uint64_t digit = (uint64_t)digit_value(*s);

		if (result > (UINT64_MAX - digit) / radix) {
			return NULL;
		}
		result = result * radix + digit;
	}
	*value = result;
	return s == start ? NULL : s;
}

bool string_to_u64(const char *s, uint64_t *value)
{
	uint64_t result;
	const char *end = parse_number(s, &result);

	if (!end || *end) {
		return false;
	}
	*value = result;
	return true;
}

bool string_to_size(const char *s, uint64_t *value)
{
	static const char suffixes[] = "KMGT";
	uint64_t result;
	unsigned int shift = 0;
	const char *end = parse_number(s, &result);

	if (!end) {
		return false;
	}
	for (unsigned int i = 0; *end && suffixes[i]; i++) {
		if (*end == suffixes[i]) {
			shift = 10 * (i + 1);
			end++;
			break;
		}
	}
	if (*end || result > (UINT64_MAX >> shift)) {
		return false;
	}
	*value = result << shift;
	return true;
}

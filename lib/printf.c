/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printf into a buffer. No floating point, no locale; what is supported is listed at the
 * prototypes in lib/string.h. Output past the end is counted and dropped.
 */
#include "lib/bits.h"
#include "lib/string.h"

struct output {
	char *buffer;
	size_t size;
	size_t length; /* of the whole text, also past the end */
};

struct spec {
	bool left;
	bool zero;
	char sign; /* ' ' or '+' before a number that is not negative, or 0 */
	int width;
	int precision;	   /* -1: none given */
	unsigned int size; /* bytes of the integer argument */
};

static void emit(struct output *out, char c)
{
	if (out->size > 0 && out->length < out->size - 1) {
		out->buffer[out->length] = c;
	}
	out->length++;
}

static void emit_padding(struct output *out, char c, int count)
{
	for (; count > 0; count--) {
		emit(out, c);
	}
}

/* `text` of `length` after `sign` (0: none), padded to the width as the flags say. */
static void emit_field(struct output *out, const struct spec *spec, const char *sign,
		       const char *text, int length)
{
	int sign_length = (int)strlen(sign);
	int padding = spec->width - length - sign_length;

	if (!spec->left && !spec->zero) {
		emit_padding(out, ' ', padding);
	}
	while (*sign) {
		emit(out, *sign++);
	}
	if (!spec->left && spec->zero) {
		emit_padding(out, '0', padding);
	}
	for (int i = 0; i < length; i++) {
		emit(out, text[i]);
	}
	if (spec->left) {
		emit_padding(out, ' ', padding);
	}
}

static void emit_number(struct output *out, struct spec *spec, uint64_t value, const char *sign,
			unsigned int radix, const char *digits)
{
	char text[32];
	char *start = text + sizeof(text);
	char *end = start;
	int minimum = spec->precision >= 0 ? MIN(spec->precision, 24) : 1;

	if (spec->precision >= 0) {
		spec->zero = false;
	}
	while (value != 0 || end - start < minimum) {
		*--start = digits[value % radix];
		value /= radix;
	}
	emit_field(out, spec, sign, start, (int)(end - start));
}

static void emit_signed(struct output *out, struct spec *spec, int64_t value)
{
	char plus[2] = { spec->sign, '\0' };
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	emit_number(out, spec, magnitude, value < 0 ? "-" : plus, 10, "0123456789");
}

static void emit_string(struct output *out, struct spec *spec, const char *s)
{
	size_t limit = spec->precision >= 0 ? (size_t)spec->precision : 0x7fffffff;

	if (!s) {
		s = "(null)";
	}
	spec->zero = false;
	emit_field(out, spec, "", s, (int)strnlen(s, limit));
}

static const char *parse_flags(const char *format, struct spec *spec)
{
	for (;; format++) {
		if (*format == '-') {
			spec->left = true;
		} else if (*format == '0') {
			spec->zero = true;
		} else if (*format == ' ' || *format == '+') {
			spec->sign = *format;
		} else if (*format != '#') {
			return format;
		}
	}
}

static const char *parse_count(const char *format, va_list *args, int *count)
{
	if (*format == '*') {
		*count = va_arg(*args, int);
		return format + 1;
	}
	for (*count = 0; *format >= '0' && *format <= '9' && *count < 100000; format++) {
		*count = *count * 10 + (*format - '0');
	}
	return format;
}

static const char *parse_length(const char *format, struct spec *spec)
{
	spec->size = sizeof(int);
	if (format[0] == 'h') {
		spec->size = format[1] == 'h' ? 1 : 2;
		return format + (format[1] == 'h' ? 2 : 1);
	}
	if (format[0] == 'l') {
		spec->size = 8;
		return format + (format[1] == 'l' ? 2 : 1);
	}
	if (format[0] == 'z') {
		spec->size = 8;
		return format + 1;
	}
	return format;
}

static uint64_t unsigned_argument(const struct spec *spec, va_list *args)
{
	if (spec->size == 8) {
		return va_arg(*args, uint64_t);
	}
	return va_arg(*args, unsigned int) & BITS(spec->size * 8 - 1, 0);
}

static int64_t signed_argument(const struct spec *spec, va_list *args)
{
	if (spec->size == 8) {
		return va_arg(*args, int64_t);
	}
	switch (spec->size) {
	case 1:
		return (int8_t)va_arg(*args, int);
	case 2:
		return (int16_t)va_arg(*args, int);
	default:
		return va_arg(*args, int);
	}
}

static void emit_conversion(struct output *out, struct spec *spec, char conversion, va_list *args)
{
	char c;

	switch (conversion) {
	case 'd':
	case 'i':
		emit_signed(out, spec, signed_argument(spec, args));
		break;
	case 'u':
		emit_number(out, spec, unsigned_argument(spec, args), "", 10, "0123456789");
		break;
	case 'x':
		emit_number(out, spec, unsigned_argument(spec, args), "", 16, "0123456789abcdef");
		break;
	case 'X':
		emit_number(out, spec, unsigned_argument(spec, args), "", 16, "0123456789ABCDEF");
		break;
	case 'p':
		emit_number(out, spec, (uintptr_t)va_arg(*args, void *), "0x", 16,
			    "0123456789abcdef");
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		spec->zero = false;
		emit_field(out, spec, "", &c, 1);
		break;
	case 's':
		emit_string(out, spec, va_arg(*args, const char *));
		break;
	case '%':
		emit(out, '%');
		break;
	default: /* unknown: shown as it stands, so that it is noticed */
		emit(out, '%');
		emit(out, conversion);
		break;
	}
}

int string_vformat(char *buffer, size_t size, const char *format, va_list args)
{
	struct output out = { buffer, size, 0 };
	va_list rest;

	va_copy(rest, args);
	while (*format) {
		struct spec spec = { .precision = -1 };

		if (*format != '%') {
			emit(&out, *format++);
			continue;
		}
		format = parse_flags(format + 1, &spec);
		format = parse_count(format, &rest, &spec.width);
		if (spec.width < 0) {
			spec.left = true;
			spec.width = -spec.width;
		}
		if (*format == '.') {
			format = parse_count(format + 1, &rest, &spec.precision);
		}
		format = parse_length(format, &spec);
		if (!*format) {
			break;
		}
		emit_conversion(&out, &spec, *format++, &rest);
	}
	va_end(rest);
	if (size > 0) {
		buffer[MIN(out.length, size - 1)] = '\0';
	}
	return (int)out.length;
}

int string_format(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = string_vformat(buffer, size, format, args);
	va_end(args);
	return length;
}

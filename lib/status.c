/* SPDX-License-Identifier: BSD-2-Clause */
/* Status codes in words, and the message that goes with a failure. */
#include "lib/status.h"

#include "lib/string.h"

int error_set(struct error_text *error, int status, const char *format, ...)
{
	va_list args;

	if (error) {
		va_start(args, format);
		string_vformat(error->text, sizeof(error->text), format, args);
		va_end(args);
	}
	return status;
}

const char *status_text(int status)
{
	switch (status < 0 ? -status : status) {
	case 0:
		return "success";
	case EPERM:
		return "not permitted";
	case ENOENT:
		return "not found";
	case EIO:
		return "the partition is bugged";
	case E2BIG:
		return "too long";
	case EAGAIN:
		return "try again";
	case ENOMEM:
		return "out of memory";
	case EBUSY:
		return "busy";
	case ENODATA:
		return "nothing is there";
	case EEXIST:
		return "exists already";
	case ENODEV:
		return "no such device";
	case EINVAL:
		return "invalid argument";
	case ENOSPC:
		return "no space left";
	case ERANGE:
		return "out of range";
	case ENOSYS:
		return "not supported";
	case EOVERFLOW:
		return "overflow";
	default:
		return "unknown error";
	}
}

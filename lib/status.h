/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Status codes: a function that can fail returns 0 or one of these, negated, and is
 * marked __must_check. The numbers and names are those of POSIX <errno.h>, so that the
 * same files compile in host tests beside the system's header. Never mixed with bool.
 */
#ifndef LIB_STATUS_H
#define LIB_STATUS_H

#define EPERM 1
#define ENOENT 2
#define EIO 5
#define E2BIG 7
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define ENOSPC 28
#define ERANGE 34
#define ENOSYS 38
#define ENODATA 61
#define EOVERFLOW 75

#define __must_check __attribute__((warn_unused_result))

/* The message of a failure, filled by whoever found it: what, and where. */
struct error_text {
	char text[192];
};

/* Formats the message into `error` (may be NULL) and returns `status` unchanged. */
int error_set(struct error_text *error, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A status code in words ("out of memory"), for messages; takes either sign. */
const char *status_text(int status);

#endif

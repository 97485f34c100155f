/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operator's side of the console line: typed bytes go to the shell or, when attached,
 * to a partition; the attached partition's output goes to the line as fast as it takes it.
 * Core, called by the CPU loop.
 */
#ifndef HV_OPERATOR_H
#define HV_OPERATOR_H

#include "hv/partition.h"

/* After the partitions are started: greeting and first prompt. */
void operator_init(void);

/* Typed bytes and output that wait. Bounded: at most a few hundred bytes a call. */
void operator_work(uint64_t now);

/* Host TSC at which operator_work() wants to be called at the latest. */
uint64_t operator_next_work(void);

/* Shows `entry`'s console until Ctrl-]. */
void operator_attach(struct partition_entry *entry);

/* Log lines while a prompt is shown: written above it. Sink of lib/log.h. */
void operator_log_sink(const char *text, size_t length);

#endif

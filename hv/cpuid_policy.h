/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID shows to guests: the host's features through an allow-list (a feature that
 * nobody has thought about stays hidden), and our own leaves:
 *
 *     0x40000000  signature "BulkheadHv  ", the last leaf of the range in EAX
 *     0x40000010  EAX TSC frequency, EBX local APIC timer frequency, both in kHz
 *     0x40000100  "KVMKVMKVM": the paravirtual clock by KVM's published interface
 */
#ifndef HV_CPUID_POLICY_H
#define HV_CPUID_POLICY_H

#include "lib/bits.h"

/* Computes the tables from the host's CPUID; once, after tsc_init() and virt_select(). */
void cpuid_policy_init(void);

/* CR4 bits that a guest with this policy may set. */
uint64_t cpuid_policy_cr4_mask(void);

/* Width of guest-physical addresses, as leaf 0x80000008 shows it. */
unsigned int cpuid_policy_maxphyaddr(void);

/* The policy shows TSC_AUX (RDTSCP or RDPID). */
bool cpuid_policy_has_rdtscp(void);

#endif

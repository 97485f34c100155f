/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCS by the manual's names and numbers (SDM, "Field Encoding in VMCS"; exit reasons:
 * "VMX Basic Exit Reasons"), and the instructions that read and write it. One enum per
 * field width: a read of the wrong width does not compile. No policy.
 *
 * The accessors work on the VMCS that is current on this CPU (VMPTRLD) and assert success:
 * a refused field is a bug of ours, never a guest's doing.
 */
#ifndef ARCH_X86_VMX_VMCS_H
#define ARCH_X86_VMX_VMCS_H

#include "lib/bits.h"
#include "lib/panic.h"

enum vmcs_field16 {
	/* control */
	VMCS_VPID = 0x0000,
	/* guest */
	VMCS_GUEST_ES_SELECTOR = 0x0800,
	VMCS_GUEST_CS_SELECTOR = 0x0802,
	VMCS_GUEST_SS_SELECTOR = 0x0804,
	VMCS_GUEST_DS_SELECTOR = 0x0806,
	VMCS_GUEST_FS_SELECTOR = 0x0808,
	VMCS_GUEST_GS_SELECTOR = 0x080a,
	VMCS_GUEST_LDTR_SELECTOR = 0x080c,
	VMCS_GUEST_TR_SELECTOR = 0x080e,
	/* host */
	VMCS_HOST_ES_SELECTOR = 0x0c00,
	VMCS_HOST_CS_SELECTOR = 0x0c02,
	VMCS_HOST_SS_SELECTOR = 0x0c04,
	VMCS_HOST_DS_SELECTOR = 0x0c06,
	VMCS_HOST_FS_SELECTOR = 0x0c08,
	VMCS_HOST_GS_SELECTOR = 0x0c0a,
	VMCS_HOST_TR_SELECTOR = 0x0c0c,
};

enum vmcs_field64 {
	/* control */
	VMCS_IO_BITMAP_A = 0x2000,
	VMCS_IO_BITMAP_B = 0x2002,
	VMCS_MSR_BITMAPS = 0x2004,
	VMCS_TSC_OFFSET = 0x2010,
	VMCS_VM_FUNCTION_CONTROLS = 0x2018,
	VMCS_EPT_POINTER = 0x201a,
	VMCS_EPTP_LIST_ADDRESS = 0x2024,
	VMCS_ENCLS_EXITING_BITMAP = 0x202e,
	VMCS_ENCLV_EXITING_BITMAP = 0x2036,
	/* read-only */
	VMCS_GUEST_PHYSICAL_ADDRESS = 0x2400,
	/* guest */
	VMCS_LINK_POINTER = 0x2800,
	VMCS_GUEST_IA32_DEBUGCTL = 0x2802,
	VMCS_GUEST_IA32_PAT = 0x2804,
	VMCS_GUEST_IA32_EFER = 0x2806,
	VMCS_GUEST_PDPTE0 = 0x280a,
	VMCS_GUEST_PDPTE1 = 0x280c,
	VMCS_GUEST_PDPTE2 = 0x280e,
	VMCS_GUEST_PDPTE3 = 0x2810,
	/* host */
	VMCS_HOST_IA32_PAT = 0x2c00,
	VMCS_HOST_IA32_EFER = 0x2c02,
};

enum vmcs_field32 {
	/* control */
	VMCS_PIN_BASED_CONTROLS = 0x4000,
	VMCS_PRIMARY_CONTROLS = 0x4002,
	VMCS_EXCEPTION_BITMAP = 0x4004,
	VMCS_PAGE_FAULT_ERROR_MASK = 0x4006,
	VMCS_PAGE_FAULT_ERROR_MATCH = 0x4008,
	VMCS_CR3_TARGET_COUNT = 0x400a,
	VMCS_EXIT_CONTROLS = 0x400c,
	VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
	VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
	VMCS_ENTRY_CONTROLS = 0x4012,
	VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
	VMCS_ENTRY_INTERRUPTION_INFO = 0x4016,
	VMCS_ENTRY_EXCEPTION_ERROR_CODE = 0x4018,
	VMCS_ENTRY_INSTRUCTION_LENGTH = 0x401a,
	VMCS_SECONDARY_CONTROLS = 0x401e,
	/* read-only */
	VMCS_INSTRUCTION_ERROR = 0x4400,
	VMCS_EXIT_REASON = 0x4402,
	VMCS_EXIT_INTERRUPTION_INFO = 0x4404,
	VMCS_EXIT_INTERRUPTION_ERROR_CODE = 0x4406,
	VMCS_IDT_VECTORING_INFO = 0x4408,
	VMCS_IDT_VECTORING_ERROR_CODE = 0x440a,
	VMCS_EXIT_INSTRUCTION_LENGTH = 0x440c,
	VMCS_EXIT_INSTRUCTION_INFO = 0x440e,
	/* guest */
	VMCS_GUEST_ES_LIMIT = 0x4800,
	VMCS_GUEST_CS_LIMIT = 0x4802,
	VMCS_GUEST_SS_LIMIT = 0x4804,
	VMCS_GUEST_DS_LIMIT = 0x4806,
	VMCS_GUEST_FS_LIMIT = 0x4808,
	VMCS_GUEST_GS_LIMIT = 0x480a,
	VMCS_GUEST_LDTR_LIMIT = 0x480c,
	VMCS_GUEST_TR_LIMIT = 0x480e,
	VMCS_GUEST_GDTR_LIMIT = 0x4810,
	VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_ES_RIGHTS = 0x4814,
	VMCS_GUEST_CS_RIGHTS = 0x4816,
	VMCS_GUEST_SS_RIGHTS = 0x4818,
	VMCS_GUEST_DS_RIGHTS = 0x481a,
	VMCS_GUEST_FS_RIGHTS = 0x481c,
	VMCS_GUEST_GS_RIGHTS = 0x481e,
	VMCS_GUEST_LDTR_RIGHTS = 0x4820,
	VMCS_GUEST_TR_RIGHTS = 0x4822,
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
	VMCS_GUEST_ACTIVITY_STATE = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482a,
	VMCS_PREEMPTION_TIMER = 0x482e,
	/* host */
	VMCS_HOST_SYSENTER_CS = 0x4c00,
};

enum vmcs_field_natural {
	/* control */
	VMCS_CR0_GUEST_HOST_MASK = 0x6000,
	VMCS_CR4_GUEST_HOST_MASK = 0x6002,
	VMCS_CR0_READ_SHADOW = 0x6004,
	VMCS_CR4_READ_SHADOW = 0x6006,
	/* read-only */
	VMCS_EXIT_QUALIFICATION = 0x6400,
	VMCS_GUEST_LINEAR_ADDRESS = 0x640a,
	/* guest */
	VMCS_GUEST_CR0 = 0x6800,
	VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_ES_BASE = 0x6806,
	VMCS_GUEST_CS_BASE = 0x6808,
	VMCS_GUEST_SS_BASE = 0x680a,
	VMCS_GUEST_DS_BASE = 0x680c,
	VMCS_GUEST_FS_BASE = 0x680e,
	VMCS_GUEST_GS_BASE = 0x6810,
	VMCS_GUEST_LDTR_BASE = 0x6812,
	VMCS_GUEST_TR_BASE = 0x6814,
	VMCS_GUEST_GDTR_BASE = 0x6816,
	VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a,
	VMCS_GUEST_RSP = 0x681c,
	VMCS_GUEST_RIP = 0x681e,
	VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_GUEST_PENDING_DEBUG = 0x6822,
	VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	/* host */
	VMCS_HOST_CR0 = 0x6c00,
	VMCS_HOST_CR3 = 0x6c02,
	VMCS_HOST_CR4 = 0x6c04,
	VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08,
	VMCS_HOST_TR_BASE = 0x6c0a,
	VMCS_HOST_GDTR_BASE = 0x6c0c,
	VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_SYSENTER_ESP = 0x6c10,
	VMCS_HOST_SYSENTER_EIP = 0x6c12,
	VMCS_HOST_RSP = 0x6c14,
	VMCS_HOST_RIP = 0x6c16,
};

/* Pin-based VM-execution controls. */
#define PIN_EXTERNAL_INTERRUPT_EXITING BIT(0)
#define PIN_NMI_EXITING BIT(3)
#define PIN_VIRTUAL_NMIS BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)

/* Primary processor-based VM-execution controls. */
#define PRIMARY_INTERRUPT_WINDOW BIT(2)
#define PRIMARY_TSC_OFFSETTING BIT(3)
#define PRIMARY_HLT_EXITING BIT(7)
#define PRIMARY_MWAIT_EXITING BIT(10)
#define PRIMARY_RDPMC_EXITING BIT(11)
#define PRIMARY_CR3_LOAD_EXITING BIT(15)
#define PRIMARY_CR3_STORE_EXITING BIT(16)
#define PRIMARY_CR8_LOAD_EXITING BIT(19)
#define PRIMARY_CR8_STORE_EXITING BIT(20)
#define PRIMARY_NMI_WINDOW BIT(22)
#define PRIMARY_IO_BITMAPS BIT(25)
#define PRIMARY_MSR_BITMAPS BIT(28)
#define PRIMARY_MONITOR_EXITING BIT(29)
#define PRIMARY_SECONDARY_CONTROLS BIT(31)

/* Secondary processor-based VM-execution controls. */
#define SECONDARY_EPT BIT(1)
#define SECONDARY_RDTSCP BIT(3)
#define SECONDARY_VPID BIT(5)
#define SECONDARY_WBINVD_EXITING BIT(6)
#define SECONDARY_UNRESTRICTED_GUEST BIT(7)
#define SECONDARY_INVPCID BIT(12)
#define SECONDARY_VM_FUNCTIONS BIT(13)
#define SECONDARY_ENCLS_EXITING BIT(15)
#define SECONDARY_PML BIT(17)
#define SECONDARY_ENCLV_EXITING BIT(28)

/* Primary VM-exit controls. */
#define EXIT_SAVE_DEBUG_CONTROLS BIT(2)
#define EXIT_HOST_ADDRESS_SPACE_SIZE BIT(9)
#define EXIT_ACKNOWLEDGE_INTERRUPT BIT(15)
#define EXIT_SAVE_PAT BIT(18)
#define EXIT_LOAD_PAT BIT(19)
#define EXIT_SAVE_EFER BIT(20)
#define EXIT_LOAD_EFER BIT(21)

/* VM-entry controls. */
#define ENTRY_LOAD_DEBUG_CONTROLS BIT(2)
#define ENTRY_IA32E_MODE_GUEST BIT(9)
#define ENTRY_LOAD_PAT BIT(14)
#define ENTRY_LOAD_EFER BIT(15)

/* Basic exit reasons; bit 31 of the field: the entry failed. */
#define EXIT_REASON_BASIC BITS(15, 0)
#define EXIT_REASON_ENTRY_FAILURE BIT(31)
enum exit_reason {
	REASON_EXCEPTION_OR_NMI = 0,
	REASON_EXTERNAL_INTERRUPT = 1,
	REASON_TRIPLE_FAULT = 2,
	REASON_INIT_SIGNAL = 3,
	REASON_SIPI = 4,
	REASON_INTERRUPT_WINDOW = 7,
	REASON_NMI_WINDOW = 8,
	REASON_TASK_SWITCH = 9,
	REASON_CPUID = 10,
	REASON_GETSEC = 11,
	REASON_HLT = 12,
	REASON_INVD = 13,
	REASON_INVLPG = 14,
	REASON_RDPMC = 15,
	REASON_RDTSC = 16,
	REASON_RSM = 17,
	REASON_VMCALL = 18,
	REASON_VMCLEAR = 19,
	REASON_VMLAUNCH = 20,
	REASON_VMPTRLD = 21,
	REASON_VMPTRST = 22,
	REASON_VMREAD = 23,
	REASON_VMRESUME = 24,
	REASON_VMWRITE = 25,
	REASON_VMXOFF = 26,
	REASON_VMXON = 27,
	REASON_CR_ACCESS = 28,
	REASON_MOV_DR = 29,
	REASON_IO = 30,
	REASON_RDMSR = 31,
	REASON_WRMSR = 32,
	REASON_INVALID_GUEST_STATE = 33,
	REASON_MSR_LOADING = 34,
	REASON_MWAIT = 36,
	REASON_MONITOR = 39,
	REASON_PAUSE = 40,
	REASON_MACHINE_CHECK_IN_ENTRY = 41,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIGURATION = 49,
	REASON_INVEPT = 50,
	REASON_RDTSCP = 51,
	REASON_PREEMPTION_TIMER = 52,
	REASON_INVVPID = 53,
	REASON_WBINVD = 54,
	REASON_XSETBV = 55,
	REASON_VMFUNC = 59,
	REASON_ENCLS = 60,
	REASON_ENCLV = 70,
};

/* Interruption information, of entries, exits and IDT vectoring alike. */
#define INTERRUPTION_VECTOR BITS(7, 0)
#define INTERRUPTION_TYPE BITS(10, 8)
#define INTERRUPTION_ERROR_CODE BIT(11)
#define INTERRUPTION_NMI_UNBLOCKED BIT(12) /* exits only: by an IRET that then faulted */
#define INTERRUPTION_VALID BIT(31)
enum interruption_type {
	INTERRUPTION_EXTERNAL = 0,
	INTERRUPTION_NMI = 2,
	INTERRUPTION_EXCEPTION = 3,
	INTERRUPTION_SOFTWARE_INTERRUPT = 4,
	INTERRUPTION_PRIVILEGED_SOFTWARE_EXCEPTION = 5, /* INT1 */
	INTERRUPTION_SOFTWARE_EXCEPTION = 6,		/* INT3, INTO */
};

/* Guest interruptibility state. */
#define INTERRUPTIBILITY_STI BIT(0)
#define INTERRUPTIBILITY_MOV_SS BIT(1)
#define INTERRUPTIBILITY_SHADOW (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define INTERRUPTIBILITY_NMI BIT(3)

/* Exit qualification for control-register accesses. */
#define CR_ACCESS_NUMBER BITS(3, 0)
#define CR_ACCESS_TYPE BITS(5, 4)
#define CR_ACCESS_GPR BITS(11, 8)
#define CR_ACCESS_LMSW_SOURCE BITS(31, 16)
enum cr_access_type {
	CR_ACCESS_MOV_TO,
	CR_ACCESS_MOV_FROM,
	CR_ACCESS_CLTS,
	CR_ACCESS_LMSW,
};

/* Exit qualification for I/O instructions. */
#define IO_ACCESS_SIZE BITS(2, 0) /* bytes - 1 */
#define IO_ACCESS_IN BIT(3)
#define IO_ACCESS_STRING BIT(4)
#define IO_ACCESS_REP BIT(5)
#define IO_ACCESS_PORT BITS(31, 16)
/* VM-exit instruction information for INS and OUTS. */
#define IO_INFO_ADDRESS_SIZE BITS(9, 7) /* 2 << n bytes */
#define IO_INFO_SEGMENT BITS(17, 15)

/* Exit qualification for EPT violations. */
#define EPT_VIOLATION_ACCESS BITS(2, 0)	   /* ACCESS_... of exit.h, bit for bit */
#define EPT_VIOLATION_PERMITTED BITS(5, 3) /* the same */
#define EPT_VIOLATION_LINEAR_VALID BIT(7)
#define EPT_VIOLATION_TRANSLATED BIT(8) /* the access itself, not a walk to it */
#define EPT_VIOLATION_NMI_UNBLOCKED BIT(12)

/* Exit qualification for #DB: B0-B3, BD, BS, as in DR6. */
#define DEBUG_EXIT_DR6 (BITS(14, 13) | BITS(3, 0))

/* EPT pointer. */
#define EPTP_WRITE_BACK UINT64_C(6)
#define EPTP_WALK_4 (UINT64_C(3) << 3)
#define EPTP_ACCESSED_DIRTY BIT(6)
#define EPTP_ROOT BITS(51, 12)

/* VM-function controls, and IA32_VMX_VMFUNC. */
#define VM_FUNCTION_EPTP_SWITCHING BIT(0)

/* IA32_VMX_EPT_VPID_CAP. */
#define EPT_CAP_EXECUTE_ONLY BIT(0)
#define EPT_CAP_WALK_4 BIT(6)
#define EPT_CAP_WRITE_BACK BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_ACCESSED_DIRTY BIT(21)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_ALL BIT(26)
#define EPT_CAP_INVVPID BIT(32)
#define EPT_CAP_INVVPID_SINGLE BIT(41)
#define EPT_CAP_INVVPID_ALL BIT(42)

/* IA32_VMX_BASIC and IA32_VMX_MISC. */
#define VMX_BASIC_REVISION BITS(30, 0)
#define VMX_BASIC_INS_OUTS_INFO BIT(54)
#define VMX_BASIC_TRUE_CONTROLS BIT(55)
#define VMX_MISC_TIMER_SHIFT BITS(4, 0)

/* Types of INVEPT and INVVPID. */
#define INVALIDATE_SINGLE 1u
#define INVALIDATE_ALL 2u

/* True on success; VMfail (CF or ZF) otherwise. Volatile: the value changes with each exit. */
static inline bool vmcs_try_read(uint64_t field, uint64_t *value)
{
	bool failed;

	__asm__ volatile("vmread %2, %0" : "=r"(*value), "=@ccbe"(failed) : "r"(field));
	return !failed;
}

/* Clobbers memory: the VMCS points at structures that must be written before. */
static inline bool vmcs_try_write(uint64_t field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %2, %1" : "=@ccbe"(failed) : "r"(field), "r"(value) : "memory");
	return !failed;
}

/* Cold and out of line, so that an accessor is three instructions and a branch. */
_Noreturn void vmcs_refused(uint64_t field);

#define DEFINE_VMCS_ACCESSORS(suffix, enum_name, type)                          \
	static inline type vmcs_read##suffix(enum enum_name field)              \
	{                                                                       \
		uint64_t value;                                                 \
                                                                                \
		if (unlikely(!vmcs_try_read(field, &value))) {                  \
			vmcs_refused(field);                                    \
		}                                                               \
		return (type)value;                                             \
	}                                                                       \
	static inline void vmcs_write##suffix(enum enum_name field, type value) \
	{                                                                       \
		if (unlikely(!vmcs_try_write(field, value))) {                  \
			vmcs_refused(field);                                    \
		}                                                               \
	}

DEFINE_VMCS_ACCESSORS(16, vmcs_field16, uint16_t)
DEFINE_VMCS_ACCESSORS(32, vmcs_field32, uint32_t)
DEFINE_VMCS_ACCESSORS(64, vmcs_field64, uint64_t)
DEFINE_VMCS_ACCESSORS(_natural, vmcs_field_natural, uint64_t)

#endif

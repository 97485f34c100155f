/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers, EFER and XCR0: what a guest may set. The rules are the manual's for a
 * CPU with the features that the CPUID policy shows (SDM, "Control Registers"; APM, "System
 * Resources"); a value that breaks one is #GP(0) and changes nothing.
 */
#include "arch/x86/cpu.h"
#include "hv/cpuid_policy.h"
#include "hv/fetch.h"
#include "hv/guest_memory.h"
#include "hv/partition.h"

#define CR0_WRITABLE                                                                               \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define EFER_WRITABLE (EFER_SCE | EFER_LME | EFER_NXE)
#define PDPTE_RESERVED (BITS(8, 6) | BITS(2, 1))
#define PDPTE_ACCESSED BIT(5) /* reserved too, but QEMU's TCG sets it in the guest's memory */
/* Bits whose change makes a CPU with PAE paging read the PDPTEs (SDM, "PDPTE Registers"). */
#define CR0_READS_PDPTES (CR0_CD | CR0_NW | CR0_PG)
#define CR4_READS_PDPTES (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

static bool in_long_mode(const struct virt_paging *paging)
{
	return (paging->efer & EFER_LMA) != 0;
}

static bool in_64_bit_code(const struct virt_paging *paging)
{
	return in_long_mode(paging) && (paging->cs_rights & SEGMENT_RIGHTS_L);
}

static bool uses_pae_without_long_mode(const struct virt_paging *paging)
{
	return (paging->cr0 & CR0_PG) && (paging->cr4 & CR4_PAE) && !(paging->efer & EFER_LME);
}

/*
 * PAE paging keeps its four top entries inside the CPU: they are read when paging comes on.
 * False when one has reserved bits set.
 */
static bool load_pdptes(struct vcpu *vcpu, uint64_t cr3, uint64_t pdpte[4])
{
	if (guest_physical_read(vcpu->partition, gpa(cr3 & BITS(31, 5)), pdpte,
				4 * sizeof(pdpte[0]))) {
		return false;
	}
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t reserved = PDPTE_RESERVED | ~BITS(cpuid_policy_maxphyaddr() - 1, 0);

		if ((pdpte[i] & 1) && (pdpte[i] & reserved)) {
			return false;
		}
		pdpte[i] &= ~PDPTE_ACCESSED;
	}
	return true;
}

/*
 * Puts checked registers into the hardware. PDPTEs are read when the mode has them and
 * `reads_pdptes`; otherwise the CPU goes on with those that it has.
 */
static enum outcome commit(struct vcpu *vcpu, const struct virt_paging *paging, bool reads_pdptes)
{
	uint64_t pdpte[4];

	if (!reads_pdptes || !uses_pae_without_long_mode(paging)) {
		virt->set_crs(&vcpu->virt, paging, NULL);
		return OUTCOME_NEXT;
	}
	if (memory_fault_absent(vcpu, gpa(paging->cr3 & BITS(31, 5)), sizeof(pdpte), ACCESS_READ)) {
		return OUTCOME_FAULT;
	}
	if (!load_pdptes(vcpu, paging->cr3, pdpte)) {
		return inject_gp(vcpu);
	}
	virt->set_crs(&vcpu->virt, paging, pdpte);
	return OUTCOME_NEXT;
}

static enum outcome guest_writes_cr0(struct vcpu *vcpu, uint64_t value)
{
	struct virt_paging paging;
	bool paging_starts;
	bool reads_pdptes;

	virt->get_paging(&vcpu->virt, &paging);
	value |= CR0_ET;
	if (value >> 32) {
		return inject_gp(vcpu);
	}
	value &= CR0_WRITABLE;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD))) {
		return inject_gp(vcpu);
	}
	paging_starts = (value & CR0_PG) && !(paging.cr0 & CR0_PG);
	if (paging_starts && (paging.efer & EFER_LME) &&
	    (!(paging.cr4 & CR4_PAE) || (paging.cs_rights & SEGMENT_RIGHTS_L))) {
		return inject_gp(vcpu);
	}
	if (!(value & CR0_PG) && (paging.cr0 & CR0_PG) &&
	    ((paging.cr4 & CR4_PCIDE) || in_64_bit_code(&paging))) {
		return inject_gp(vcpu);
	}
	reads_pdptes = ((value ^ paging.cr0) & CR0_READS_PDPTES) != 0;
	paging.cr0 = value;
	paging.efer &= ~EFER_LMA;
	if ((value & CR0_PG) && (paging.efer & EFER_LME)) {
		paging.efer |= EFER_LMA;
	}
	return commit(vcpu, &paging, reads_pdptes);
}

static enum outcome guest_writes_cr4(struct vcpu *vcpu, uint64_t value)
{
	struct virt_paging paging;
	bool reads_pdptes;

	virt->get_paging(&vcpu->virt, &paging);
	if (value & ~cpuid_policy_cr4_mask()) {
		return inject_gp(vcpu);
	}
	if (in_long_mode(&paging) && !(value & CR4_PAE)) {
		return inject_gp(vcpu);
	}
	if ((value & CR4_PCIDE) && !(paging.cr4 & CR4_PCIDE) &&
	    (!in_long_mode(&paging) || (paging.cr3 & CR3_PCID))) {
		return inject_gp(vcpu);
	}
	reads_pdptes = ((value ^ paging.cr4) & CR4_READS_PDPTES) != 0;
	paging.cr4 = value;
	return commit(vcpu, &paging, reads_pdptes);
}

static enum outcome guest_writes_cr3(struct vcpu *vcpu, uint64_t value)
{
	struct virt_paging paging;

	virt->get_paging(&vcpu->virt, &paging);
	if (paging.cr4 & CR4_PCIDE) {
		value &= ~CR3_NO_FLUSH;
	}
	if (in_long_mode(&paging) && (value & ~BITS(cpuid_policy_maxphyaddr() - 1, 0))) {
		return inject_gp(vcpu);
	}
	paging.cr3 = value;
	return commit(vcpu, &paging, true);
}

static enum outcome guest_writes(struct vcpu *vcpu, unsigned int number, uint64_t value)
{
	switch (number) {
	case 0:
		return guest_writes_cr0(vcpu, value);
	case 3:
		return guest_writes_cr3(vcpu, value);
	case 4:
		return guest_writes_cr4(vcpu, value);
	case 8:
		if (value & ~BITS(3, 0)) {
			return inject_gp(vcpu);
		}
		vlapic_set_tpr(&vcpu->partition->devices.vlapic, (uint8_t)(value << 4));
		return OUTCOME_NEXT;
	default:
		return inject_ud(vcpu);
	}
}

static enum outcome guest_reads(struct vcpu *vcpu, unsigned int number, unsigned int gpr,
				unsigned int size)
{
	struct virt_paging paging;
	uint64_t value;

	virt->get_paging(&vcpu->virt, &paging);
	switch (number) {
	case 0:
		value = paging.cr0;
		break;
	case 3:
		value = paging.cr3;
		break;
	case 4:
		value = paging.cr4;
		break;
	case 8:
		value = vlapic_cr8(&vcpu->partition->devices.vlapic);
		break;
	default:
		return inject_ud(vcpu);
	}
	vcpu_write_gpr(vcpu, gpr, size, value);
	return OUTCOME_NEXT;
}

/* The word that LMSW loads: of a register, or of memory. */
static enum outcome lmsw_operand(struct vcpu *vcpu, const struct decoded *decoded,
				 const struct guest_access *access, uint16_t *word)
{
	struct vcpu_regs regs = vcpu->virt.regs;
	struct guest_operand operand;
	enum outcome outcome;
	uint64_t offset;
	uint8_t *data = (uint8_t *)word;

	regs.gpr[GPR_RSP] = virt->get_rsp(&vcpu->virt);
	if (!decoded->has_memory) {
		*word = (uint16_t)regs.gpr[decoded->gpr];
		return OUTCOME_NEXT;
	}
	offset = decoder_effective_address(decoded, &regs, vcpu->exit.rip + decoded->length);
	outcome = guest_locate(
		vcpu, access,
		guest_linear(vcpu, &access->paging, (enum segment)decoded->segment, offset),
		sizeof(*word), &operand);
	*word = 0xffff; /* what is not RAM reads as ones */
	for (unsigned int i = 0; i < operand.count && outcome == OUTCOME_NEXT; i++) {
		(void)!guest_physical_read(vcpu->partition, operand.part[i].address, data,
					   operand.part[i].size);
		data += operand.part[i].size;
	}
	return outcome;
}

/* LMSW: bits 3:0 of the operand; PE can be set but not cleared. */
static enum outcome lmsw(struct vcpu *vcpu, const struct decoded *decoded)
{
	struct guest_access access;
	enum outcome outcome;
	uint16_t word;

	guest_access_init(&access, vcpu, ACCESS_READ);
	outcome = lmsw_operand(vcpu, decoded, &access, &word);
	if (outcome != OUTCOME_NEXT) {
		return outcome;
	}
	return guest_writes_cr0(vcpu, (access.paging.cr0 & ~BITS(3, 1)) | (word & BITS(3, 0)));
}

/* A CPU without decode assists only says that a CR was written: the instruction tells the rest. */
static enum outcome decode_and_write(struct vcpu *vcpu)
{
	struct virt_paging paging;
	struct decoded decoded;
	enum outcome outcome = fetch_decode(vcpu, &decoded);

	if (outcome != OUTCOME_NEXT) {
		return outcome;
	}
	vcpu->exit.instruction_length = decoded.length;
	virt->get_paging(&vcpu->virt, &paging);
	switch (decoded.system) {
	case SYSTEM_MOV_TO_CR:
		return guest_writes(
			vcpu, decoded.system_register,
			vcpu_read_gpr(vcpu, decoded.gpr, in_64_bit_code(&paging) ? 8 : 4));
	case SYSTEM_MOV_FROM_CR:
		return guest_reads(vcpu, decoded.system_register, decoded.gpr,
				   in_64_bit_code(&paging) ? 8 : 4);
	case SYSTEM_CLTS:
		return guest_writes_cr0(vcpu, paging.cr0 & ~CR0_TS);
	case SYSTEM_LMSW:
		return lmsw(vcpu, &decoded);
	case SYSTEM_NONE:
	case SYSTEM_MOV_FROM_DR:
	case SYSTEM_MOV_TO_DR:
	case SYSTEM_SMSW:
		break;
	}
	return inject_ud(vcpu);
}

enum outcome exit_cr_access(struct vcpu *vcpu)
{
	const struct exit_cr *cr = &vcpu->exit.cr;

	if (cr->needs_decode) {
		return decode_and_write(vcpu);
	}
	if (cr->write || cr->clts) {
		return guest_writes(vcpu, cr->number, cr->value);
	}
	return guest_reads(vcpu, cr->number, cr->gpr, 8);
}

enum outcome exit_efer_write(struct vcpu *vcpu, uint64_t value)
{
	struct virt_paging paging;
	uint64_t changed;

	virt->get_paging(&vcpu->virt, &paging);
	value = (value & ~EFER_LMA) | (paging.efer & EFER_LMA); /* read-only */
	changed = value ^ paging.efer;
	if (value & ~(EFER_WRITABLE | EFER_LMA)) {
		return inject_gp(vcpu);
	}
	if ((changed & EFER_LME) && (paging.cr0 & CR0_PG)) {
		return inject_gp(vcpu);
	}
	paging.efer = value;
	return commit(vcpu, &paging, false);
}

/* SDM, "XSAVE-Supported Features and State-Component Bitmaps": which combinations exist. */
static bool xcr0_is_valid(uint64_t value)
{
	uint64_t avx512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;

	if ((value & ~virt_xcr0_mask()) || !(value & XCR0_X87)) {
		return false;
	}
	if ((value & XCR0_AVX) && !(value & XCR0_SSE)) {
		return false;
	}
	return !(value & avx512) || ((value & avx512) == avx512 && (value & XCR0_AVX));
}

enum outcome exit_xsetbv(struct vcpu *vcpu)
{
	const uint64_t *gpr = vcpu->virt.regs.gpr;
	uint64_t value = (gpr[GPR_RDX] & BITS(31, 0)) << 32 | (gpr[GPR_RAX] & BITS(31, 0));
	struct virt_paging paging;

	virt->get_paging(&vcpu->virt, &paging);
	if (!(paging.cr4 & CR4_OSXSAVE)) {
		return inject_ud(vcpu);
	}
	if (paging.cpl != 0 || (gpr[GPR_RCX] & BITS(31, 0)) != 0 || !xcr0_is_valid(value)) {
		return inject_gp(vcpu);
	}
	virt_set_xcr0(value);
	return OUTCOME_NEXT;
}

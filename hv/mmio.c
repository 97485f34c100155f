/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An access to an address without memory: the instruction is decoded and done by us, with
 * the device bus in place of memory. The faulting guest-physical address is the operand's,
 * so only string instructions need translations of their own.
 */
#include "arch/x86/cpu.h"
#include "hv/fetch.h"
#include "hv/guest_memory.h"
#include "hv/partition.h"
#include "lib/string.h"

#define FLAGS_ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define ELEMENTS_PER_EXIT 64

static uint64_t width_mask(unsigned int size)
{
	return size == 8 ? ~UINT64_C(0) : BIT(size * 8) - 1;
}

static bool is_lapic_page(const struct partition *partition, uint64_t address)
{
	return (address & PAGE_MASK) == VLAPIC_GPA && vlapic_hw_enabled(&partition->devices.vlapic);
}

static uint64_t device_read(struct partition *partition, uint64_t address, unsigned int size)
{
	uint64_t value = 0;

	if (likely(is_lapic_page(partition, address))) {
		vlapic_mmio_read(&partition->devices.vlapic, address & ~PAGE_MASK, size, &value);
	} else {
		bus_read(&partition->devices.mmio, address, size, &value);
	}
	return value;
}

static void device_write(struct partition *partition, uint64_t address, unsigned int size,
			 uint64_t value)
{
	value &= width_mask(size);
	if (likely(is_lapic_page(partition, address))) {
		vlapic_mmio_write(&partition->devices.vlapic, address & ~PAGE_MASK, size, value);
	} else {
		bus_write(&partition->devices.mmio, address, size, value);
	}
}

/* The register operand, with AH, CH, DH and BH in the second byte of theirs. */
static uint64_t operand_read(struct vcpu *vcpu, const struct decoded *d, unsigned int size)
{
	if (d->has_immediate) {
		return d->immediate & width_mask(size);
	}
	if (d->high_byte) {
		return vcpu_read_gpr(vcpu, d->gpr, 2) >> 8;
	}
	return vcpu_read_gpr(vcpu, d->gpr, size);
}

static void operand_write(struct vcpu *vcpu, const struct decoded *d, unsigned int size,
			  uint64_t value)
{
	if (d->high_byte) {
		uint64_t low = vcpu_read_gpr(vcpu, d->gpr, 1);

		vcpu_write_gpr(vcpu, d->gpr, 2, (value & 0xff) << 8 | low);
		return;
	}
	vcpu_write_gpr(vcpu, d->gpr, size, value);
}

static uint64_t sign_extend(uint64_t value, unsigned int size)
{
	unsigned int shift = 64 - size * 8;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

/*
 * One ALU operation on `size` bytes: the result, and the arithmetic flags as the manual
 * defines them for it ("EFLAGS Cross-Reference").
 */
static uint64_t alu(enum decoder_alu operation, unsigned int size, uint64_t a, uint64_t b,
		    uint64_t *flags)
{
	uint64_t sign = BIT(size * 8 - 1);
	uint64_t carry_in = *flags & RFLAGS_CF;
	uint64_t carry = 0;
	uint64_t overflow = 0;
	uint64_t result;

	switch (operation) {
	case ALU_NOT:
		return ~a & width_mask(size);
	case ALU_AND:
	case ALU_TEST:
		result = a & b;
		break;
	case ALU_OR:
		result = a | b;
		break;
	case ALU_XOR:
		result = a ^ b;
		break;
	case ALU_ADC:
	case ALU_ADD:
	case ALU_INC:
		result = a + b + (operation == ALU_ADC ? carry_in : 0);
		carry = (a & b) | ((a | b) & ~result);
		overflow = (a ^ result) & (b ^ result);
		break;
	case ALU_SBB:
	case ALU_SUB:
	case ALU_CMP:
	case ALU_DEC:
	default:
		result = a - b - (operation == ALU_SBB ? carry_in : 0);
		carry = (~a & b) | ((~a | b) & result);
		overflow = (a ^ b) & (a ^ result);
		break;
	}
	result &= width_mask(size);
	*flags &= ~FLAGS_ARITHMETIC;
	if (operation == ALU_INC || operation == ALU_DEC) {
		*flags |= carry_in; /* these two leave CF alone */
	} else {
		*flags |= (carry & sign) ? RFLAGS_CF : 0;
	}
	*flags |= (overflow & sign) ? RFLAGS_OF : 0;
	*flags |= (carry & BIT(3)) ? RFLAGS_AF : 0;
	*flags |= (result & sign) ? RFLAGS_SF : 0;
	*flags |= result == 0 ? RFLAGS_ZF : 0;
	*flags |= __builtin_parity((unsigned int)(result & 0xff)) ? 0 : RFLAGS_PF;
	return result;
}

/* Runs an ALU operation and stores the guest's flags; the result is returned. */
static uint64_t alu_for_guest(struct vcpu *vcpu, const struct decoded *d, uint64_t a, uint64_t b)
{
	uint64_t flags = virt->get_rflags(&vcpu->virt);
	uint64_t result = alu(d->alu, d->size, a, b, &flags);

	virt->set_rflags(&vcpu->virt, flags);
	return result;
}

static void read_alu(struct vcpu *vcpu, const struct decoded *d, uint64_t memory)
{
	uint64_t other = operand_read(vcpu, d, d->size);
	uint64_t result;

	result = d->memory_is_left ? alu_for_guest(vcpu, d, memory, other)
				   : alu_for_guest(vcpu, d, other, memory);
	if (!d->memory_is_left && d->alu != ALU_CMP && d->alu != ALU_TEST) {
		operand_write(vcpu, d, d->size, result);
	}
}

static void modify(struct vcpu *vcpu, const struct decoded *d, uint64_t address)
{
	uint64_t memory = device_read(vcpu->partition, address, d->size);
	bool unary = d->alu == ALU_NOT || d->alu == ALU_INC || d->alu == ALU_DEC;
	uint64_t other = unary ? 1 : operand_read(vcpu, d, d->size);

	device_write(vcpu->partition, address, d->size, alu_for_guest(vcpu, d, memory, other));
}

static void exchange(struct vcpu *vcpu, const struct decoded *d, uint64_t address)
{
	uint64_t memory = device_read(vcpu->partition, address, d->size);

	device_write(vcpu->partition, address, d->size, operand_read(vcpu, d, d->size));
	operand_write(vcpu, d, d->size, memory);
}

/* A piece of a string operand that is not RAM: whole, or by bytes when a page's end cuts it. */
static void string_device(struct partition *partition, uint32_t kind, uint64_t address,
			  uint8_t *data, size_t size, bool whole)
{
	unsigned int step = whole ? (unsigned int)size : 1;

	for (size_t at = 0; at < size; at += step) {
		uint64_t value = 0;

		if (kind == ACCESS_WRITE) {
			memcpy(&value, data + at, step);
			device_write(partition, address + at, step, value);
		} else {
			value = device_read(partition, address + at, step);
			memcpy(data + at, &value, step);
		}
	}
}

/* One side of a string move: RAM or a device, by linear address. OUTCOME_NEXT: done. */
static enum outcome string_access(struct vcpu *vcpu, uint32_t kind, uint64_t linear,
				  unsigned int size, uint64_t *value)
{
	struct partition *partition = vcpu->partition;
	uint8_t *data = (uint8_t *)value;
	struct guest_operand operand;
	struct guest_access access;
	enum outcome outcome;

	guest_access_init(&access, vcpu, kind);
	outcome = guest_locate(vcpu, &access, linear, size, &operand);
	if (outcome != OUTCOME_NEXT) {
		return outcome;
	}
	if (kind == ACCESS_READ) {
		*value = 0;
	}
	for (unsigned int i = 0; i < operand.count; i++) {
		gpa_t address = operand.part[i].address;
		size_t part = operand.part[i].size;
		int status = kind == ACCESS_WRITE
				     ? guest_physical_write(partition, address, data, part)
				     : guest_physical_read(partition, address, data, part);

		if (status) {
			string_device(partition, kind, address.v, data, part, operand.count == 1);
		}
		data += part;
	}
	return OUTCOME_NEXT;
}

static uint64_t string_linear(struct vcpu *vcpu, const struct decoded *d, unsigned int gpr,
			      enum segment which, const struct virt_paging *paging)
{
	return guest_linear(vcpu, paging, which, vcpu_read_gpr(vcpu, gpr, d->address_size));
}

/* One element of MOVS, STOS or LODS. OUTCOME_NEXT: done, registers moved on. */
static enum outcome string_element(struct vcpu *vcpu, const struct decoded *d,
				   const struct virt_paging *paging)
{
	uint64_t step = (paging->rflags & RFLAGS_DF) ? 0 - (uint64_t)d->size : d->size;
	bool loads = d->operation != DECODED_STOS;
	bool stores = d->operation != DECODED_LODS;
	uint64_t value = vcpu_read_gpr(vcpu, GPR_RAX, d->size);
	enum outcome outcome = OUTCOME_NEXT;

	if (loads) {
		outcome = string_access(
			vcpu, ACCESS_READ,
			string_linear(vcpu, d, GPR_RSI, (enum segment)d->segment, paging), d->size,
			&value);
	}
	if (stores && outcome == OUTCOME_NEXT) {
		outcome = string_access(vcpu, ACCESS_WRITE,
					string_linear(vcpu, d, GPR_RDI, SEGMENT_ES, paging),
					d->size, &value);
	}
	if (outcome != OUTCOME_NEXT) {
		return outcome;
	}
	if (!stores) {
		vcpu_write_gpr(vcpu, GPR_RAX, d->size, value);
	}
	if (loads) {
		vcpu_write_gpr(vcpu, GPR_RSI, d->address_size,
			       vcpu_read_gpr(vcpu, GPR_RSI, 8) + step);
	}
	if (stores) {
		vcpu_write_gpr(vcpu, GPR_RDI, d->address_size,
			       vcpu_read_gpr(vcpu, GPR_RDI, 8) + step);
	}
	return OUTCOME_NEXT;
}

/* A string instruction; after a bounded number of elements the guest runs it again. */
static enum outcome string(struct vcpu *vcpu, const struct decoded *d)
{
	struct virt_paging paging;

	virt->get_paging(&vcpu->virt, &paging);
	for (unsigned int i = 0; i < ELEMENTS_PER_EXIT; i++) {
		uint64_t count = vcpu_read_gpr(vcpu, GPR_RCX, d->address_size);
		enum outcome outcome;

		if (d->rep && count == 0) {
			return OUTCOME_NEXT;
		}
		outcome = string_element(vcpu, d, &paging);
		if (outcome != OUTCOME_NEXT || !d->rep) {
			return outcome;
		}
		vcpu_write_gpr(vcpu, GPR_RCX, d->address_size, count - 1);
	}
	return OUTCOME_RESUME;
}

static enum outcome emulate(struct vcpu *vcpu, const struct decoded *d, uint64_t address)
{
	struct partition *partition = vcpu->partition;
	uint64_t value;

	switch (d->operation) {
	case DECODED_LOAD:
	case DECODED_LOAD_SIGNED:
		value = device_read(partition, address, d->size);
		if (d->operation == DECODED_LOAD_SIGNED) {
			value = sign_extend(value, d->size);
		}
		operand_write(vcpu, d, d->destination_size, value);
		return OUTCOME_NEXT;
	case DECODED_STORE:
	case DECODED_STORE_IMMEDIATE:
		device_write(partition, address, d->size, operand_read(vcpu, d, d->size));
		return OUTCOME_NEXT;
	case DECODED_READ_ALU:
		read_alu(vcpu, d, device_read(partition, address, d->size));
		return OUTCOME_NEXT;
	case DECODED_MODIFY:
		modify(vcpu, d, address);
		return OUTCOME_NEXT;
	case DECODED_EXCHANGE:
		exchange(vcpu, d, address);
		return OUTCOME_NEXT;
	case DECODED_MOVS:
	case DECODED_STOS:
	case DECODED_LODS:
		return string(vcpu, d);
	case DECODED_OTHER:
		break;
	}
	/* An instruction that no driver uses on a device; the guest may handle the #UD. */
	return inject_ud(vcpu);
}

enum outcome exit_mmio(struct vcpu *vcpu)
{
	struct exit *exit = &vcpu->exit;
	struct decoded decoded;
	enum outcome outcome;

	if (exit->fault.access & ACCESS_EXECUTE) {
		return inject_ud(vcpu); /* all ones are no instruction */
	}
	outcome = fetch_decode(vcpu, &decoded);
	if (outcome != OUTCOME_NEXT) {
		return outcome;
	}
	exit->instruction_length = decoded.length;
	return emulate(vcpu, &decoded, exit->fault.address.v);
}

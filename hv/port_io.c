/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IN, OUT, INS and OUTS. A string instruction moves a bounded number of elements per exit
 * and is run again for the rest, as an interrupted one on a real CPU: registers always say
 * how far it got, and a page fault in the middle leaves them at the element that faulted.
 */
#include "arch/x86/cpu.h"
#include "hv/fetch.h"
#include "hv/guest_memory.h"
#include "hv/partition.h"

#define ELEMENTS_PER_EXIT 256

/* A string instruction under way. */
struct string_io {
	struct guest_access access;
	uint64_t address_mask;
	uint64_t step;	      /* to add: size, or its negative */
	unsigned int pointer; /* enum gpr: RSI or RDI */
};

static enum outcome single(struct vcpu *vcpu, const struct exit_io *io)
{
	struct bus *ports = &vcpu->partition->devices.ports;
	uint64_t value;

	if (io->in) {
		bus_read(ports, io->port, io->size, &value);
		vcpu_write_gpr(vcpu, GPR_RAX, io->size, value);
	} else {
		bus_write(ports, io->port, io->size, vcpu_read_gpr(vcpu, GPR_RAX, io->size));
	}
	return OUTCOME_NEXT;
}

static void string_io_init(struct string_io *string, struct vcpu *vcpu, const struct exit_io *io)
{
	guest_access_init(&string->access, vcpu, io->in ? ACCESS_WRITE : ACCESS_READ);
	string->address_mask = io->address_size == 8 ? ~UINT64_C(0) : BIT(io->address_size * 8) - 1;
	string->pointer = io->in ? GPR_RDI : GPR_RSI;
	string->step = io->size;
	if (string->access.paging.rflags & RFLAGS_DF) {
		string->step = 0 - string->step;
	}
}

/*
 * Moves one element between the port and linear memory, all of which is translated first.
 * Memory that is not RAM reads as ones and swallows writes. OUTCOME_NEXT: done.
 */
static enum outcome move_element(struct vcpu *vcpu, const struct exit_io *io,
				 const struct string_io *string, uint64_t linear)
{
	struct partition *partition = vcpu->partition;
	uint64_t value = ~UINT64_C(0);
	uint8_t *data = (uint8_t *)&value;
	struct guest_operand operand;
	enum outcome outcome = guest_locate(vcpu, &string->access, linear, io->size, &operand);

	if (outcome != OUTCOME_NEXT) {
		return outcome;
	}
	if (io->in) {
		bus_read(&partition->devices.ports, io->port, io->size, &value);
	}
	for (unsigned int i = 0; i < operand.count; i++) {
		gpa_t address = operand.part[i].address;
		size_t part = operand.part[i].size;

		if (io->in) {
			(void)!guest_physical_write(partition, address, data, part);
		} else {
			(void)!guest_physical_read(partition, address, data, part);
		}
		data += part;
	}
	if (!io->in) {
		bus_write(&partition->devices.ports, io->port, io->size, value);
	}
	return OUTCOME_NEXT;
}

/* Writes a pointer or count register at the width of the instruction's addresses. */
static void write_masked(struct vcpu *vcpu, unsigned int gpr, const struct exit_io *io,
			 uint64_t value)
{
	vcpu_write_gpr(vcpu, gpr, io->address_size, value);
}

static enum outcome string(struct vcpu *vcpu, const struct exit_io *io)
{
	struct string_io state;
	unsigned int budget = ELEMENTS_PER_EXIT;

	string_io_init(&state, vcpu, io);
	for (;;) {
		uint64_t count = vcpu_read_gpr(vcpu, GPR_RCX, io->address_size);
		uint64_t pointer = vcpu_read_gpr(vcpu, state.pointer, io->address_size);
		enum outcome outcome;
		uint64_t linear;

		if (io->rep && count == 0) {
			return OUTCOME_NEXT;
		}
		if (budget-- == 0 || vcpu->partition->stop != STOP_NONE) {
			return OUTCOME_RESUME;
		}
		linear = guest_linear(vcpu, &state.access.paging, (enum segment)io->segment,
				      pointer);
		outcome = move_element(vcpu, io, &state, linear);
		if (outcome != OUTCOME_NEXT) {
			return outcome;
		}
		write_masked(vcpu, state.pointer, io, (pointer + state.step) & state.address_mask);
		if (!io->rep) {
			return OUTCOME_NEXT;
		}
		write_masked(vcpu, GPR_RCX, io, count - 1);
	}
}

enum outcome exit_io(struct vcpu *vcpu)
{
	struct exit_io *io = &vcpu->exit.io;
	struct decoded decoded;
	enum outcome outcome;

	if (!io->string) {
		return single(vcpu, io);
	}
	if (io->needs_decode) {
		outcome = fetch_decode(vcpu, &decoded);
		if (outcome != OUTCOME_NEXT) {
			return outcome;
		}
		io->address_size = decoded.address_size;
		io->segment = io->in ? SEGMENT_ES : decoded.segment;
	}
	return string(vcpu, io);
}

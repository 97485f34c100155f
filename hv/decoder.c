/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software decoder. Bytes are only ever taken one by one through take(), which knows
 * the end of the buffer and the 15 bytes that an instruction may have:
 *
 *     prefixes  [REX]  opcode (0F, 0F 38, 0F 3A, or VEX/EVEX with the map inside)
 *     [ModRM [SIB] [displacement]]  [immediate]
 *
 * The tables say what follows an opcode; decoder_meaning.c says what it does. In 64-bit mode
 * an operand-size prefix shortens the displacement of a near branch, as on AMD; Intel ignores
 * it there, but Intel's CPUs give instruction lengths themselves.
 */
#include "hv/decoder.h"

#include "hv/decoder_tables.h"
#include "lib/string.h"

/* The next byte; 0 and a status when there is none. */
static uint8_t take(struct decoding *d)
{
	if (d->status == 0 && d->at >= INSTRUCTION_MAX) {
		d->status = -EINVAL;
	} else if (d->status == 0 && d->at >= d->size) {
		d->status = -EAGAIN;
	}
	return d->status != 0 ? 0 : d->bytes[d->at++];
}

/* `count` bytes (0 to 8), little-endian, sign-extended. */
static uint64_t take_signed(struct decoding *d, unsigned int count)
{
	uint64_t value = 0;
	unsigned int unused = 64 - 8 * count;

	for (unsigned int i = 0; i < count; i++) {
		value |= (uint64_t)take(d) << (8 * i);
	}
	return count == 0 ? 0 : (uint64_t)((int64_t)(value << unused) >> unused);
}

/* In 64-bit mode the overrides of ES, CS, SS and DS mean nothing. */
static void override_segment(struct decoding *d, enum segment segment)
{
	if (d->mode != DECODER_64 || segment == SEGMENT_FS || segment == SEGMENT_GS) {
		d->segment = (uint8_t)segment;
	}
}

/* True when `byte` is a legacy prefix, which is then noted. */
static bool note_prefix(struct decoding *d, uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		override_segment(d, (enum segment)(byte >> 3 & 3));
		return true;
	case 0x64:
	case 0x65:
		override_segment(d, byte == 0x64 ? SEGMENT_FS : SEGMENT_GS);
		return true;
	case 0x66:
		d->operand_override = true;
		return true;
	case 0x67:
		d->address_override = true;
		return true;
	case 0xf0:
		d->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		d->repeat = byte;
		return true;
	default:
		return false;
	}
}

/* Takes all prefixes and returns the first byte after them. A REX counts only as the last. */
static uint8_t take_prefixes(struct decoding *d)
{
	uint8_t byte = take(d);

	while (d->status == 0) {
		if (note_prefix(d, byte)) {
			d->rex = 0;
		} else if (d->mode == DECODER_64 && (byte & 0xf0) == 0x40) {
			d->rex = byte;
		} else {
			break;
		}
		byte = take(d);
	}
	return byte;
}

static void set_sizes(struct decoding *d, struct decoded *out)
{
	bool half = d->mode == DECODER_16;

	if (d->mode == DECODER_64) {
		d->operand_size = d->rex & REX_W ? 8 : d->operand_override ? 2 : 4;
		out->address_size = d->address_override ? 4 : 8;
	} else {
		d->operand_size = half != d->operand_override ? 2 : 4;
		out->address_size = half != d->address_override ? 2 : 4;
	}
}

/* True when C4, C5 or 62 starts a VEX or EVEX prefix and not LES, LDS or BOUND. */
static bool is_vector(struct decoding *d, uint8_t byte)
{
	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62) {
		return false;
	}
	if (d->mode == DECODER_64) {
		return true;
	}
	/* With a register operand those three are undefined: VEX and EVEX live there. */
	return d->at < MIN(d->size, (size_t)INSTRUCTION_MAX) && d->bytes[d->at] >= 0xc0;
}

/* The shape of an opcode in map `number` of VEX and EVEX; SHAPE_BAD when there is none. */
static uint8_t vector_shape(unsigned int number, uint8_t opcode, bool evex)
{
	uint8_t shape;

	switch (number) {
	case 1:
		shape = decoder_shapes_0f[opcode];
		if (opcode == 0x77 && !evex) {
			return 0; /* VZEROUPPER, VZEROALL */
		}
		return shape & SHAPE_MODRM ? shape : SHAPE_BAD;
	case 2:
		return SHAPE_MODRM;
	case 3:
		return SHAPE_MODRM | SHAPE_IMM8;
	case 5: /* half-precision floating point */
	case 6:
		return evex ? SHAPE_MODRM : SHAPE_BAD;
	default:
		return SHAPE_BAD;
	}
}

static int take_vector_opcode(struct decoding *d, uint8_t byte)
{
	unsigned int number = 1;
	uint8_t payload;

	if (d->rex != 0 || d->operand_override || d->repeat != 0 || d->lock) {
		return -EINVAL;
	}
	payload = take(d);
	if (byte == 0xc4) {
		number = payload & 0x1f;
		take(d);
	} else if (byte == 0x62) {
		number = payload & 0x07;
		if (d->status == 0 && (payload & 0x08) != 0) {
			return -EINVAL;
		}
		payload = take(d);
		if (d->status == 0 && (payload & 0x04) == 0) {
			return -EINVAL;
		}
		take(d);
	}
	d->opcode = take(d);
	d->map = MAP_VECTOR;
	d->shape = vector_shape(number, d->opcode, byte == 0x62);
	return d->status;
}

/* SSE4a: 66 0F 78 and F2 0F 78 have two immediates of a byte, VMREAD has none. */
static bool is_bit_field_move(const struct decoding *d)
{
	return d->map == MAP_0F && d->opcode == 0x78 && (d->operand_override || d->repeat == 0xf2);
}

static int take_opcode(struct decoding *d, uint8_t byte)
{
	if (is_vector(d, byte)) {
		return take_vector_opcode(d, byte);
	}
	if (byte != 0x0f) {
		d->map = MAP_1;
		d->opcode = byte;
		d->shape = decoder_shapes_1[byte];
		return d->status;
	}
	d->opcode = take(d);
	d->map = MAP_0F;
	d->shape = decoder_shapes_0f[d->opcode];
	if (d->opcode == 0x38 || d->opcode == 0x3a) {
		/* Every opcode of these two maps has the same shape. */
		d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
		d->opcode = take(d);
		d->shape = d->map == MAP_0F38 ? SHAPE_MODRM : SHAPE_MODRM | SHAPE_IMM8;
	} else if (d->opcode == 0xb8 && d->repeat != 0xf3) {
		d->shape = SHAPE_BAD; /* POPCNT has F3; without it this is Itanium's */
	}
	return d->status;
}

/* 16-bit addressing: the eight sums of registers that ModRM.rm names. */
static void take_address_16(struct decoding *d, struct decoded_address *address)
{
	static const uint8_t sums[8][2] = {
		{ GPR_RBX, GPR_RSI },	     { GPR_RBX, GPR_RDI },
		{ GPR_RBP, GPR_RSI },	     { GPR_RBP, GPR_RDI },
		{ GPR_RSI, DECODED_NO_GPR }, { GPR_RDI, DECODED_NO_GPR },
		{ GPR_RBP, DECODED_NO_GPR }, { GPR_RBX, DECODED_NO_GPR },
	};
	uint8_t rm = d->modrm & 7;
	unsigned int displacement_size = d->mod;

	address->base = sums[rm][0];
	address->index = sums[rm][1];
	if (d->mod == 0 && rm == 6) {
		address->base = DECODED_NO_GPR;
		displacement_size = 2;
	}
	address->displacement = take_signed(d, displacement_size);
}

static void take_sib(struct decoding *d, struct decoded_address *address)
{
	uint8_t sib = take(d);
	uint8_t index = (uint8_t)((sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0));

	address->scale = (uint8_t)(1u << (sib >> 6));
	address->base = (uint8_t)((sib & 7) | (d->rex & REX_B ? 8 : 0));
	if (index != GPR_RSP) {
		address->index = index;
	}
}

static void take_address(struct decoding *d, struct decoded_address *address)
{
	unsigned int displacement_size = d->mod == 1 ? 1 : d->mod == 2 ? 4 : 0;

	address->base = d->rm;
	if ((d->modrm & 7) == GPR_RSP) {
		take_sib(d, address);
	}
	/* Without displacement, base RBP or R13 means: no base, but 32 bits; or RIP. */
	if (d->mod == 0 && (address->base & 7) == GPR_RBP) {
		address->rip_relative = d->mode == DECODER_64 && (d->modrm & 7) == GPR_RBP;
		address->base = DECODED_NO_GPR;
		displacement_size = 4;
	}
	address->displacement = take_signed(d, displacement_size);
}

static void take_modrm(struct decoding *d, struct decoded *out)
{
	struct decoded_address address = { .base = DECODED_NO_GPR,
					   .index = DECODED_NO_GPR,
					   .scale = 1 };

	d->modrm = take(d);
	d->mod = d->modrm >> 6;
	d->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0));
	d->rm = (uint8_t)((d->modrm & 7) | (d->rex & REX_B ? 8 : 0));
	if (d->map == MAP_0F && d->opcode >= 0x20 && d->opcode <= 0x23) {
		d->mod = 3; /* MOV of control and debug registers ignores mod */
	}
	if (d->mod == 3) {
		return;
	}
	if (out->address_size == 2) {
		take_address_16(d, &address);
	} else {
		take_address(d, &address);
	}
	if (d->map != MAP_VECTOR) {
		out->has_memory = true;
		out->address = address;
	}
	if (address.base == GPR_RBP || address.base == GPR_RSP) {
		out->segment = SEGMENT_SS;
	}
}

/* The memory of MOV AL/eAX, moffs: an address and nothing else. */
static void take_moffs(struct decoding *d, struct decoded *out)
{
	out->has_memory = true;
	out->address.base = DECODED_NO_GPR;
	out->address.index = DECODED_NO_GPR;
	out->address.scale = 1;
	out->address.displacement = take_signed(d, out->address_size);
}

static void take_immediates(struct decoding *d, struct decoded *out)
{
	if (d->shape & SHAPE_IMMZ) {
		out->immediate = take_signed(d, d->operand_size == 2 ? 2 : 4);
	}
	if (d->shape & SHAPE_IMMV) {
		out->immediate = take_signed(d, d->operand_size);
	}
	if (d->shape & SHAPE_IMM16) {
		take_signed(d, 2);
	}
	if (d->shape & SHAPE_IMM8) {
		out->immediate = take_signed(d, 1);
	}
	if (is_bit_field_move(d)) {
		take_signed(d, 2);
	}
}

/* Everything after the opcode. */
static int take_operands(struct decoding *d, struct decoded *out)
{
	struct decoder_form form;

	if ((d->shape & SHAPE_BAD) || ((d->shape & SHAPE_NOT64) && d->mode == DECODER_64)) {
		return -EINVAL;
	}
	if (d->shape & SHAPE_MODRM) {
		take_modrm(d, out);
	}
	if (d->shape & SHAPE_MOFFS) {
		take_moffs(d, out);
	}
	if (d->status != 0) {
		return d->status;
	}
	form = decoding_form(d);
	if (form.flags & FORM_INVALID) {
		return -EINVAL;
	}
	if ((form.flags & FORM_IMMEDIATE) && !(d->shape & (SHAPE_IMM8 | SHAPE_IMMZ))) {
		d->shape |= form.size == 1 ? SHAPE_IMM8 : SHAPE_IMMZ; /* TEST of group 3 */
	}
	take_immediates(d, out);
	if (d->segment != NO_SEGMENT) {
		out->segment = d->segment;
	}
	decoding_describe(d, &form, out);
	return d->status;
}

/* See hv/decoder.h. Writes *out in full; it means nothing when the decoding failed. */
int decoder_decode(struct decoded *out, enum decoder_mode mode, const uint8_t *bytes, size_t size)
{
	struct decoding d = {
		.bytes = bytes,
		.size = size,
		.mode = mode,
		.segment = NO_SEGMENT,
	};
	uint8_t byte = take_prefixes(&d);
	int status = d.status;

	memset(out, 0, sizeof(*out));
	out->segment = SEGMENT_DS;
	set_sizes(&d, out);
	if (status == 0) {
		status = take_opcode(&d, byte);
	}
	if (status == 0) {
		status = take_operands(&d, out);
	}
	out->length = (uint8_t)d.at;
	return status;
}

/* See hv/decoder.h. Only for a decoding with has_memory. */
uint64_t decoder_effective_address(const struct decoded *decoded, const struct vcpu_regs *regs,
				   uint64_t next_rip)
{
	const struct decoded_address *address = &decoded->address;
	uint64_t offset = address->displacement;

	if (address->rip_relative) {
		offset += next_rip;
	}
	if (address->base < GPR_COUNT) {
		offset += regs->gpr[address->base];
	}
	if (address->index < GPR_COUNT) {
		offset += regs->gpr[address->index] * address->scale;
	}
	if (decoded->address_size < 8) {
		offset &= (UINT64_C(1) << (8 * decoded->address_size)) - 1;
	}
	return offset;
}

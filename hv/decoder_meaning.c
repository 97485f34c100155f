/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a decoded instruction does, as far as anybody asks: to memory that may be a device's
 * (the forms of decoder_tables.c), and to control and debug registers. All bytes have been
 * taken by decoder.c; nothing here can run past them.
 */
#include "hv/decoder_tables.h"

/* A register operand of `size` bytes: without REX, byte registers 4 to 7 are AH to BH. */
static void set_gpr(const struct decoding *d, struct decoded *out, uint8_t number, uint8_t size)
{
	out->high_byte = size == 1 && d->rex == 0 && number >= 4;
	out->gpr = out->high_byte ? (uint8_t)(number - 4) : number;
}

/* INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(const struct decoding *d)
{
	return d->map == MAP_1 && ((d->opcode >= 0x6c && d->opcode <= 0x6f) ||
				   (d->opcode >= 0xa4 && d->opcode <= 0xa7) ||
				   (d->opcode >= 0xaa && d->opcode <= 0xaf));
}

/* What the opcode does to memory; FORM_INVALID when its group has no such row. */
struct decoder_form decoding_form(const struct decoding *d)
{
	struct decoder_form form = { .operation = DECODED_OTHER };
	struct decoder_form row;

	if (d->map == MAP_0F) {
		return decoder_forms_0f[d->opcode];
	}
	if (d->map != MAP_1) {
		return form;
	}
	form = decoder_forms_1[d->opcode];
	if (form.group == GROUP_11 && d->modrm >> 3 == 0x1f) {
		/* XABORT and XBEGIN are F8; the other seven are undefined. */
		return (struct decoder_form){ .flags = d->modrm == 0xf8 ? 0 : FORM_INVALID };
	}
	if (form.group != GROUP_NONE) {
		row = decoder_groups[form.group][d->modrm >> 3 & 7];
		row.size = form.size;
		row.group = form.group;
		return row;
	}
	if (d->opcode == 0x63 && d->mode != DECODER_64) {
		return (struct decoder_form){ .operation = DECODED_OTHER }; /* ARPL */
	}
	return form;
}

static void describe_memory(const struct decoding *d, const struct decoder_form *form,
			    struct decoded *out)
{
	if (form->operation == DECODED_OTHER || (!out->has_memory && !is_string(d))) {
		return;
	}
	out->operation = (enum decoder_operation)form->operation;
	out->alu = (enum decoder_alu)form->alu;
	out->size = form->size != 0 ? MIN(form->size, d->operand_size) : d->operand_size;
	out->destination_size = form->flags & FORM_EXTEND ? d->operand_size : out->size;
	out->has_immediate = (form->flags & FORM_IMMEDIATE) != 0;
	out->memory_is_left = (form->flags & FORM_MEMORY_LEFT) != 0;
	if ((d->shape & SHAPE_MODRM) && form->group == GROUP_NONE && !out->has_immediate) {
		set_gpr(d, out, d->reg, out->destination_size);
	}
}

static void describe_system(const struct decoding *d, struct decoded *out)
{
	static const enum decoder_system moves[4] = { SYSTEM_MOV_FROM_CR, SYSTEM_MOV_FROM_DR,
						      SYSTEM_MOV_TO_CR, SYSTEM_MOV_TO_DR };
	uint8_t reg = d->modrm >> 3 & 7;

	if (d->map != MAP_0F) {
		return;
	}
	if (d->opcode >= 0x20 && d->opcode <= 0x23) {
		out->system = moves[d->opcode & 3];
		/* AMD APM, "CR8": LOCK is another way to say 8 to 15 outside of 64-bit mode. */
		out->system_register = (uint8_t)(d->reg | (d->lock ? 8 : 0));
		out->gpr = d->rm;
		out->size = d->mode == DECODER_64 ? 8 : 4;
	} else if (d->opcode == 0x06) {
		out->system = SYSTEM_CLTS;
	} else if (d->opcode == 0x01 && (reg == 4 || reg == 6)) {
		out->system = reg == 4 ? SYSTEM_SMSW : SYSTEM_LMSW;
		out->size = reg == 6 || out->has_memory ? 2 : d->operand_size;
		out->gpr = out->has_memory ? 0 : d->rm;
	}
}

/* Fills the fields of *out that say what is done. All bytes and `form` are known by now. */
void decoding_describe(const struct decoding *d, const struct decoder_form *form,
		       struct decoded *out)
{
	out->rep = is_string(d) && d->repeat != 0;
	describe_memory(d, form, out);
	describe_system(d, out);
}

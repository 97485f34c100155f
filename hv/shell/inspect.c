/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that look inside a partition: registers, memory, exits, the trace. */
#include "arch/x86/cpu.h"
#include "arch/x86/tsc.h"
#include "hv/guest_memory.h"
#include "hv/sched.h"
#include "hv/shell/shell.h"

#define MEM_MAX 4096

static const char *const gpr_names[GPR_COUNT] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};
static const char *const segment_names[SEGMENT_COUNT] = { "es", "cs", "ss",   "ds",
							  "fs", "gs", "ldtr", "tr" };

/* A register of struct vcpu_state by name and place. */
struct register_field {
	const char *name;
	size_t offset;
};

static const struct register_field fields[] = {
	{ "rip", offsetof(struct vcpu_state, rip) },
	{ "rflags", offsetof(struct vcpu_state, rflags) },
	{ "cr0", offsetof(struct vcpu_state, cr0) },
	{ "cr2", offsetof(struct vcpu_state, cr2) },
	{ "cr3", offsetof(struct vcpu_state, cr3) },
	{ "cr4", offsetof(struct vcpu_state, cr4) },
	{ "efer", offsetof(struct vcpu_state, efer) },
	{ "dr7", offsetof(struct vcpu_state, dr7) },
	{ "pat", offsetof(struct vcpu_state, pat) },
	{ "lstar", offsetof(struct vcpu_state, lstar) },
	{ "star", offsetof(struct vcpu_state, star) },
	{ "kgsbase", offsetof(struct vcpu_state, kernel_gs_base) },
};

static uint64_t field_value(const struct vcpu_state *state, const struct register_field *field)
{
	return *(const uint64_t *)(const void *)((const char *)state + field->offset);
}

static void regs_json(const struct vcpu_state *state)
{
	json_open(NULL, '{');
	for (unsigned int i = 0; i < GPR_COUNT; i++) {
		json_hex(gpr_names[i], state->regs.gpr[i]);
	}
	for (unsigned int i = 0; i < ARRAY_COUNT(fields); i++) {
		json_hex(fields[i].name, field_value(state, &fields[i]));
	}
	for (unsigned int i = 0; i < SEGMENT_COUNT; i++) {
		json_open(segment_names[i], '{');
		json_hex("selector", state->segment[i].selector);
		json_hex("base", state->segment[i].base);
		json_hex("limit", state->segment[i].limit);
		json_hex("rights", state->segment[i].rights);
		json_close('}');
	}
	json_hex("gdtr", state->gdtr.base);
	json_hex("idtr", state->idtr.base);
	json_close('}');
	json_end();
}

static void cmd_regs(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	struct vcpu_state state;

	if (!entry) {
		return;
	}
	sched_load(&entry->sched[0]);
	virt->get_state(&entry->partition->vcpus[0].virt, &state);
	if (args->json) {
		regs_json(&state);
		return;
	}
	for (unsigned int i = 0; i < GPR_COUNT; i++) {
		shell_print("%-7s %016llx%s", gpr_names[i], (unsigned long long)state.regs.gpr[i],
			    i % 3 == 2 ? "\n" : "   ");
	}
	shell_print("\n");
	for (unsigned int i = 0; i < ARRAY_COUNT(fields); i++) {
		shell_print("%-7s %016llx%s", fields[i].name,
			    (unsigned long long)field_value(&state, &fields[i]),
			    i % 3 == 2 ? "\n" : "   ");
	}
	for (unsigned int i = 0; i < SEGMENT_COUNT; i++) {
		shell_print("%-7s %04x base %016llx limit %08x rights %05x\n", segment_names[i],
			    state.segment[i].selector, (unsigned long long)state.segment[i].base,
			    state.segment[i].limit, state.segment[i].rights);
	}
	shell_print("gdtr         base %016llx limit %04x\n", (unsigned long long)state.gdtr.base,
		    state.gdtr.limit);
	shell_print("idtr         base %016llx limit %04x\n", (unsigned long long)state.idtr.base,
		    state.idtr.limit);
}

static void mem_lines(uint64_t address, const uint8_t *data, size_t size)
{
	for (size_t line = 0; line < size; line += 16) {
		size_t count = MIN((size_t)16, size - line);

		shell_print("%012llx ", (unsigned long long)(address + line));
		for (size_t i = 0; i < 16; i++) {
			if (i < count) {
				shell_print(" %02x", data[line + i]);
			} else {
				shell_print("   ");
			}
		}
		shell_print("  ");
		for (size_t i = 0; i < count; i++) {
			uint8_t c = data[line + i];

			shell_print("%c", c >= 0x20 && c < 0x7f ? c : '.');
		}
		shell_print("\n");
	}
}

static void cmd_mem(const struct shell_args *args)
{
	static uint8_t data[MEM_MAX];
	struct partition_entry *entry = shell_built(args, 0);
	uint64_t address;
	uint64_t size;

	if (!entry || !shell_number(args, 1, "guest-physical address", &address) ||
	    !shell_number(args, 2, "length", &size)) {
		return;
	}
	if (size == 0 || size > MEM_MAX) {
		shell_error(args, "length %llu: expected 1 to %u bytes", (unsigned long long)size,
			    MEM_MAX);
		return;
	}
	if (guest_physical_read(entry->partition, gpa(address), data, (size_t)size)) {
		shell_error(args, "gpa 0x%llx, %llu bytes: not all of it is memory of %s",
			    (unsigned long long)address, (unsigned long long)size,
			    entry->config->name);
		return;
	}
	if (!args->json) {
		mem_lines(address, data, (size_t)size);
		return;
	}
	json_open(NULL, '{');
	json_hex("gpa", address);
	shell_print(",\"data\":\"");
	for (uint64_t i = 0; i < size; i++) {
		shell_print("%02x", data[i]);
	}
	shell_print("\"");
	json_close('}');
	json_end();
}

static void cmd_exits(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	const struct vcpu *vcpu;

	if (!entry) {
		return;
	}
	vcpu = &entry->partition->vcpus[0];
	if (args->json) {
		json_open(NULL, '{');
		json_number("total", vcpu->loops);
	} else {
		shell_print("%-18s %14llu\n", "total", (unsigned long long)vcpu->loops);
	}
	for (unsigned int i = 0; i < EXIT_KIND_COUNT; i++) {
		if (vcpu->exits[i] == 0) {
			continue;
		}
		if (args->json) {
			json_number(exit_kind_name((enum exit_kind)i), vcpu->exits[i]);
		} else {
			shell_print("%-18s %14llu %3llu %%\n", exit_kind_name((enum exit_kind)i),
				    (unsigned long long)vcpu->exits[i],
				    (unsigned long long)(vcpu->exits[i] * 100 / vcpu->loops));
		}
	}
	if (args->json) {
		json_close('}');
		json_end();
	}
}

static void trace_entry(const struct shell_args *args, const struct vcpu *vcpu, uint64_t number)
{
	const struct trace_entry *t = &vcpu->trace[number % TRACE_SIZE];
	const char *kind = exit_kind_name((enum exit_kind)t->kind);

	if (args->json) {
		json_open(NULL, '{');
		json_number("number", number);
		json_number("tsc", t->tsc);
		json_string("kind", kind);
		json_hex("rip", t->rip);
		json_hex("reason", t->raw_reason);
		json_hex("info", t->info);
		json_close('}');
	} else {
		shell_print("%10llu tsc %-14llu %-18s rip %016llx reason 0x%x info 0x%llx\n",
			    (unsigned long long)number, (unsigned long long)t->tsc, kind,
			    (unsigned long long)t->rip, t->raw_reason, (unsigned long long)t->info);
	}
}

static void cmd_trace(const struct shell_args *args)
{
	struct partition_entry *entry = shell_built(args, 0);
	const struct vcpu *vcpu;
	uint64_t count = 16;

	if (!entry || (args->count == 2 && !shell_number(args, 1, "count of exits", &count))) {
		return;
	}
	vcpu = &entry->partition->vcpus[0];
	count = MIN(MIN(count, (uint64_t)TRACE_SIZE), vcpu->loops);
	if (args->json) {
		json_open(NULL, '[');
	}
	for (uint64_t i = vcpu->loops - count; i < vcpu->loops; i++) {
		trace_entry(args, vcpu, i);
	}
	if (args->json) {
		json_close(']');
		json_end();
	}
}

static const struct shell_command commands[] = {
	{ "regs", "NAME [-j]", "registers of its vCPU", 1, 1, true, cmd_regs },
	{ "mem", "NAME GPA LEN [-j]", "its memory at a guest-physical address", 3, 3, true,
	  cmd_mem },
	{ "exits", "NAME [-j]", "how often it left guest mode, by kind", 1, 1, true, cmd_exits },
	{ "trace", "NAME [COUNT] [-j]", "its last exits", 1, 2, true, cmd_trace },
};

const struct shell_family shell_inspect = { "Looking inside", commands, ARRAY_COUNT(commands) };

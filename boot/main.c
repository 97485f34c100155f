/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The composition: from the boot loader's hand-over to hv_main(), one step after another,
 * each leaving something that the next one needs. All policy of the way up is here: which
 * console, which timer, who ends the machine.
 *
 *     boot_main()   CPU, boot information, console, RAM, page tables     on the boot stack
 *     boot_machine() ACPI, APICs, time, console interrupt, frames        on a guarded stack
 */
#include "boot/main.h"

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/host_map.h"
#include "arch/x86/panic.h"
#include "arch/x86/ram.h"
#include "arch/x86/tsc.h"
#include "boot/machine.h"
#include "boot/multiboot2.h"
#include "boot/options.h"
#include "drivers/console.h"
#include "drivers/power.h"
#include "hv/hv.h"
#include "hv/operator.h"
#include "lib/log.h"
#include "lib/string.h"

/* The boot map reaches 4 GiB, where a 32-bit loader leaves its information. */
#define BOOT_MAP_END (4 * GIB)

extern char __boot_start[], __bss_end[];

static struct boot_info boot_info;

static void panic_exit(void)
{
	power_off(POWER_STATUS_MAX);
}

/* The console that the command line wants, COM1 when it wants none or a wrong one. */
static void start_console(const char *command_line)
{
	struct console_config config = CONSOLE_DEFAULT;
	struct error_text error = { "" };
	char value[32];

	if (option_value(command_line, "console", value, sizeof(value)) &&
	    console_parse(value, &config, &error)) {
		config = CONSOLE_DEFAULT;
	}
	/* Without a UART the machine runs on: the log stays in memory. */
	if (console_init(&config) == 0) {
		panic_set_output(console_write_polled);
		log_set_sink(operator_log_sink);
	}
	boot_set_console(&config);
	if (error.text[0]) {
		log_printf("boot: %s", error.text);
	}
}

/* Says what the loader handed over. */
static void log_boot_info(const struct boot_info *info)
{
	log_printf("boot: command line \"%s\"", info->command_line);
	for (unsigned int i = 0; i < info->module_count; i++) {
		const struct boot_module *m = &info->modules[i];

		log_printf("boot: module %s, %llu bytes at " PRIhpa, m->name,
			   (unsigned long long)(m->end.v - m->start.v), ADDR_ARG(m->start));
	}
}

static void log_cpu(void)
{
	char vendor[13];
	char brand[49];

	cpuid_vendor(vendor);
	cpuid_brand(brand);
	log_printf("cpu: %s, %s, %u-bit physical addresses", vendor, brand, cpuid_maxphyaddr());
}

/* On the guarded stack; the boot stack is not used again. */
static void boot_second_half(void)
{
	boot_machine(&boot_info);
	hv_main(&boot_info);
}

/* Called by boot/entry.asm, once, with what the loader left in EAX and EBX. */
_Noreturn void boot_main(uint32_t magic, uint64_t info_phys)
{
	struct error_text error = { "" };

	cpu_init_boot();
	tsc_start();
	panic_set_exit(panic_exit);
	if (magic != MB2_LOADER_MAGIC) {
		panic("not started by a Multiboot2 loader: EAX is 0x%x", magic);
	}
	if (mb2_parse(hpa_to_ptr(hpa(info_phys)), BOOT_MAP_END - info_phys, &boot_info, &error)) {
		panic("%s", error.text);
	}
	start_console(boot_info.command_line);
	log_printf("bulkhead: started");
	log_cpu();
	log_boot_info(&boot_info);
	ram_init(&boot_info, hpa((uintptr_t)__boot_start), image_to_hpa(__bss_end),
		 BIT(cpuid_maxphyaddr()));
	host_map_init();
	cpu_init_stacks();
	cpu_run_on_stack(this_cpu()->stack_top, boot_second_half);
}

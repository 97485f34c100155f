/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The wiring of a partition's devices. An interrupt line goes to the 8259 pair (0-15) and to
 * the I/O APIC, where IRQ 0 arrives at pin 2 as the MADT says; the 8259's INTR goes to LINT0;
 * messages go to the local APICs that they are for.
 */
#include "hv/vdev/vdevs.h"

#define ISA_IRQS 16
#define PIN_OF_IRQ0 2

static struct vdevs *devices_of(struct vdev_host *host)
{
	return container_of(host, struct vdevs, host);
}

/* vdev_host.set_irq. GSI 2 has no line of its own: it is IRQ 0's pin and the 8259s' cascade. */
static void route_irq(struct vdev_host *host, unsigned int gsi, bool level)
{
	struct vdevs *devices = devices_of(host);

	if (gsi == PIN_OF_IRQ0) {
		return;
	}
	if (gsi < ISA_IRQS) {
		vpic_set_irq(&devices->vpic, gsi, level);
	}
	vioapic_set_pin(&devices->vioapic, gsi == 0 ? PIN_OF_IRQ0 : gsi, level);
}

/* vdev_host.pic_output */
static void route_pic_output(struct vdev_host *host, bool level)
{
	vlapic_set_lint0(&devices_of(host)->vlapic, level);
}

/* vdev_host.apic_message */
static void route_apic_message(struct vdev_host *host, uint8_t destination, bool logical,
			       uint8_t delivery_mode, uint8_t vector, bool level)
{
	struct vlapic *vlapic = &devices_of(host)->vlapic;

	if (vlapic_hw_enabled(vlapic) && vlapic_matches(vlapic, destination, logical)) {
		vlapic_accept(vlapic, (enum apic_delivery)delivery_mode, vector, level);
	}
}

/* vdev_host.apic_eoi */
static void route_apic_eoi(struct vdev_host *host, uint8_t vector)
{
	vioapic_eoi(&devices_of(host)->vioapic, vector);
}

static int add_mmio(struct vdevs *devices)
{
	const struct bus_range ranges[] = {
		{ VIOAPIC_GPA, VIOAPIC_GPA + VIOAPIC_SIZE, vioapic_mmio_read, vioapic_mmio_write,
		  &devices->vioapic, "ioapic", false },
		{ VLAPIC_GPA, VLAPIC_GPA + VLAPIC_SIZE, vlapic_mmio_read, vlapic_mmio_write,
		  &devices->vlapic, "lapic", false },
	};
	int status = bus_add(&devices->mmio, &ranges[0]);

	return status != 0 ? status : bus_add(&devices->mmio, &ranges[1]);
}

static int add_ports(struct vdevs *devices, bool debug_exit)
{
	struct bus *ports = &devices->ports;
	int status = vpic_attach(&devices->vpic, ports);

	status = status != 0 ? status : vpit_attach(&devices->vpit, ports);
	status = status != 0 ? status : vuart_attach(&devices->vuart, ports);
	status = status != 0 ? status : vrtc_attach(&devices->vrtc, ports);
	status = status != 0 ? status : vpm_attach(&devices->vpm, ports);
	return status != 0 ? status : vboard_attach(&devices->vboard, ports, debug_exit);
}

/*
 * All devices as firmware hands them over. devices->host is the owner's, but for set_irq,
 * pic_output, apic_message and apic_eoi, which are set here. -ENOSPC and -EEXIST would mean
 * that the list above is wrong.
 */
int vdevs_init(struct vdevs *devices, uint64_t memory_bytes, bool debug_exit)
{
	struct vdev_host *host = &devices->host;
	int status;

	host->set_irq = route_irq;
	host->pic_output = route_pic_output;
	host->apic_message = route_apic_message;
	host->apic_eoi = route_apic_eoi;
	bus_init(&devices->ports);
	bus_init(&devices->mmio);
	vlapic_init(&devices->vlapic, host, 0);
	vioapic_init(&devices->vioapic, host);
	vpic_init(&devices->vpic, host);
	vpit_init(&devices->vpit, host);
	vuart_init(&devices->vuart, host);
	vrtc_init(&devices->vrtc, host, memory_bytes);
	vpm_init(&devices->vpm, host);
	vboard_init(&devices->vboard, host);
	status = add_mmio(devices);
	return status != 0 ? status : add_ports(devices, debug_exit);
}

/* The deadline of `timer` has passed. */
void vdevs_timer(struct vdevs *devices, enum vtimer timer)
{
	switch (timer) {
	case VTIMER_LAPIC:
		vlapic_timer(&devices->vlapic);
		break;
	case VTIMER_PIT:
		vpit_timer(&devices->vpit);
		break;
	case VTIMER_RTC:
		vrtc_timer(&devices->vrtc);
		break;
	case VTIMER_PM:
		vpm_timer(&devices->vpm);
		break;
	case VTIMER_COUNT:
		break;
	}
}

/* The part of vdevs_pending_vector() that an old kernel needs. Changes nothing. */
int vdevs_pending_extint(struct vdevs *devices)
{
	return vlapic_takes_extint(&devices->vlapic) ? vpic_pending_vector(&devices->vpic) : -1;
}

/*
 * The vCPU took `vector`, as offered: the vLAPIC's if it is requested there (whatever its TPR
 * is by now), else the 8259's. Call it before any device is touched again.
 */
void vdevs_interrupt_taken(struct vdevs *devices, int vector)
{
	if (!vlapic_take(&devices->vlapic, vector)) {
		(void)vpic_intack(&devices->vpic);
	}
}

/* True while an NMI waits for the vCPU. */
bool vdevs_nmi_pending(const struct vdevs *devices)
{
	return devices->vlapic.nmi;
}

/* The vCPU took it. */
void vdevs_nmi_taken(struct vdevs *devices)
{
	devices->vlapic.nmi = false;
}

/* A byte for the guest's serial line. False: its receiver is full, try again later. */
bool vdevs_serial_input(struct vdevs *devices, uint8_t byte)
{
	return vuart_input(&devices->vuart, byte);
}

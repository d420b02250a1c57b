/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claim: with virtual-interrupt delivery, page and VMCS say the same at every entry: RVI and SVI, the
 * EOI-exit bitmap, and nothing that was requested is left behind. The processor's part is played here.
 */
#include "tests/unit/vcpu_rig.h"

#define LAPIC (&rig_vcpu.lapic)

static u32 entry(void)
{
	fake_vmcs_set(VM_ENTRY_INTERRUPTION_INFO, 0);
	fake_vmcs_forget_writes();
	vcpu_inject(&rig_vcpu);
	return (u32)fake_vmcs_get(VM_ENTRY_INTERRUPTION_INFO);
}

static int rvi(void)
{
	return fake_vmcs_get(GUEST_INTERRUPT_STATUS) & 0xff;
}

static int svi(void)
{
	return fake_vmcs_get(GUEST_INTERRUPT_STATUS) >> 8 & 0xff;
}

static bool eoi_exits(u8 vector)
{
	return fake_vmcs_get((enum vmcs_field)(EOI_EXIT_BITMAP_0 + 2 * (vector / 64))) >>
		       vector % 64 &
	       1;
}

static u32 *word(u32 bank, int vector)
{
	return &LAPIC->regs[(bank + (u32)vector / 32 * 16) / 4];
}

static int highest(u32 bank)
{
	for (int v = 255; v >= 0; v--) {
		if (*word(bank, v) >> v % 32 & 1)
			return v;
	}
	return 0;
}

static void set_status(int r, int s)
{
	fake_vmcs_set(GUEST_INTERRUPT_STATUS, INTERRUPT_STATUS(r, s));
}

/* SDM, "Virtual-Interrupt Delivery": as pseudocode has it, without its conditions. Returns the vector. */
static int deliver(void)
{
	int vector = rvi();

	*word(APIC_ISR, vector) |= 1u << vector % 32;
	*word(APIC_IRR, vector) &= ~(1u << vector % 32);
	set_status(highest(APIC_IRR), vector);
	return vector;
}

/* "EOI Virtualization". True: it exits. */
static bool virtual_eoi(u8 *vector)
{
	*vector = (u8)svi();
	*word(APIC_ISR, *vector) &= ~(1u << *vector % 32);
	set_status(rvi(), highest(APIC_ISR));
	return eoi_exits(*vector);
}

/* "Posted-Interrupt Processing". */
static void take_posted(void)
{
	struct posted_interrupts *p = &LAPIC->edge;

	p->control &= ~POSTED_OUTSTANDING;
	for (int v = 0; v < 256; v++) {
		if (p->request[v / 64] >> v % 64 & 1) {
			*word(APIC_IRR, v) |= 1u << v % 32;
			set_status(MAX(v, rvi()), svi());
		}
	}
	memset(p->request, 0, sizeof(p->request));
}

static int start(void **state)
{
	rig_start(state);
	rig_mask = 0;
	rig_restart();
	vcpu_inject(&rig_vcpu);
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	return 0;
}

/* Claim: the VMCS names the page, the descriptor and the vector; the descriptor is what the manual says. */
static void set_up(void **state)
{
	(void)state;
	assert_int_equal(fake_vmcs_get(VIRTUAL_APIC_ADDRESS), (u64)(uintptr_t)LAPIC->regs);
	assert_int_equal(fake_vmcs_get(POSTED_INTERRUPT_DESCRIPTOR), (u64)(uintptr_t)&LAPIC->edge);
	assert_int_equal(fake_vmcs_get(POSTED_INTERRUPT_DESCRIPTOR) & 63, 0);
	assert_int_equal(fake_vmcs_get(POSTED_INTERRUPT_VECTOR), RIG_POSTED_VECTOR);
	assert_int_equal(fake_vmcs_get(PIN_BASED_CONTROLS) & PIN_POSTED_INTERRUPTS,
			 PIN_POSTED_INTERRUPTS);
	assert_int_equal(fake_vmcs_get(GUEST_INTERRUPT_STATUS), 0);
}

/* Claim: an entry with nothing new costs no VMWRITE, whatever the guest has done since. */
static void idle_entry(void **state)
{
	(void)state;
	assert_int_equal(entry(), 0);
	assert_int_equal(fake_vmcs_all_writes(), 0);
	vlapic_post(LAPIC, 0x61, false);
	entry();
	deliver();
	LAPIC->regs[APIC_TPR / 4] = 0x70;
	assert_int_equal(entry(), 0);
	assert_int_equal(fake_vmcs_all_writes(), 0);
}

/* Claim: requests become RVI, the highest of them; no event is injected, no window, no threshold. */
static void requests(void **state)
{
	(void)state;
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED);
	vlapic_post(LAPIC, 0x41, false);
	vlapic_post(LAPIC, 0x61, false);
	assert_int_equal(entry(), 0);
	assert_int_equal(rvi(), 0x61);
	assert_int_equal(svi(), 0);
	assert_int_equal(rig_vcpu.ctx->windows, 0);
	assert_int_equal(fake_vmcs_writes(TPR_THRESHOLD), 0);
	vlapic_post(LAPIC, 0x51, false);
	entry();
	assert_int_equal(rvi(), 0x61);
	vlapic_post(LAPIC, 0x71, false);
	entry();
	assert_int_equal(rvi(), 0x71);
	assert_int_equal(deliver(), 0x71);
	vlapic_post(LAPIC, 0x91, false);
	entry();
	assert_int_equal(rvi(), 0x91);
	assert_int_equal(svi(), 0x71);
}

/* Claim: an EOI that exits after all (masked features) leaves SVI at what is still in service. */
static void eoi_by_software(void **state)
{
	(void)state;
	vlapic_post(LAPIC, 0x41, false);
	entry();
	deliver();
	vlapic_post(LAPIC, 0x61, false);
	entry();
	deliver();
	vlapic_eoi(LAPIC);
	entry();
	assert_int_equal(svi(), 0x41);
	vlapic_eoi(LAPIC);
	entry();
	assert_int_equal(svi(), 0);
}

/* Claim: the EOI of a level-triggered vector exits and is told, of an edge-triggered one it is not. */
static void level(void **state)
{
	u8 vector;

	(void)state;
	vlapic_post(LAPIC, 0x41, true);
	vlapic_post(LAPIC, 0xc5, true);
	vlapic_post(LAPIC, 0x61, false);
	entry();
	for (int v = 0; v < 256; v++)
		assert_int_equal(eoi_exits((u8)v), v == 0x41 || v == 0xc5);
	deliver();
	assert_true(virtual_eoi(&vector));
	assert_true(rig_exit(EXIT_VIRTUALIZED_EOI, vector));
	assert_false(rig_advanced()); /* it was a trap */
	assert_int_equal(rig_eois, 1);
	deliver();
	assert_false(virtual_eoi(&vector));
	assert_int_equal(vector, 0x61);

	vlapic_post(LAPIC, 0xc5, false); /* now as an edge */
	entry();
	assert_false(eoi_exits(0xc5));
	assert_true(eoi_exits(0x41));
	assert_int_equal(fake_vmcs_writes(EOI_EXIT_BITMAP_3), 1);
	assert_int_equal(fake_vmcs_writes(EOI_EXIT_BITMAP_1), 0);
}

/* Claim: a posted vector is told to a running guest without making it exit, a level-triggered one with. */
static void notification(void **state)
{
	(void)state;
	rig_posts = rig_interrupts = 0;
	LAPIC->ops = rig_real_ops;
	rig_vcpu.mode = VCPU_IN_GUEST;
	vlapic_post(LAPIC, 0x41, false);
	vlapic_post(LAPIC, 0x42, false);
	assert_int_equal(rig_posts, 1);
	assert_int_equal(rig_interrupts, 0);
	assert_int_equal(rig_vcpu.mode, VCPU_IN_GUEST);
	take_posted();
	assert_int_equal(rvi(), 0x42);
	vlapic_post(LAPIC, 0x43, false);
	assert_int_equal(rig_posts, 2);
	vlapic_post(LAPIC, 0x51, true);
	assert_int_equal(rig_posts, 2);
	assert_int_equal(rig_interrupts, 1);
	assert_int_equal(rig_vcpu.mode, VCPU_KICKED);
	vlapic_post(LAPIC, 0x44, false);
	assert_int_equal(rig_posts + rig_interrupts, 3); /* it exits anyway */
	rig_vcpu.mode = VCPU_OUT;
	vlapic_sync(LAPIC);
	vlapic_post(LAPIC, 0x45, false);
	assert_int_equal(rig_posts + rig_interrupts, 3); /* it looks before it enters */
	entry();
	assert_int_equal(rvi(), 0x51);
	assert_true(*word(APIC_IRR, 0x45) >> (0x45 % 32) & 1);
}

/* Claim: what the processor has taken by itself counts in HLT: requested above the PPR wakes, else it sleeps. */
static void halt(void **state)
{
	(void)state;
	for (int blocked = 0; blocked < 2; blocked++) {
		start(state);
		LAPIC->regs[APIC_TPR / 4] = blocked ? 0x40 : 0x30;
		vlapic_post(LAPIC, 0x41, false);
		take_posted(); /* while the guest ran */
		assert_true(rig_exit(EXIT_HLT, 0));
		assert_int_equal(vcpu_has_work(&rig_vcpu), !blocked);
	}
}

/* Claim: the PIC's interrupt is injected beside them, or waits for a window. */
static void pic(void **state)
{
	static const struct {
		u16 port;
		u8 value;
	} set_up_pic[] = { { 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0 } };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(set_up_pic); i++)
		pio_write(&rig_vm->pio, set_up_pic[i].port, 1, set_up_pic[i].value);
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED);
	vpic_set_line(&rig_vm->pic, 4, true);
	vlapic_post(LAPIC, 0x61, false);
	assert_int_equal(entry(), 0);
	assert_int_equal(rig_vcpu.ctx->windows, CPU_INTERRUPT_WINDOW_EXITING);
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	assert_true(rig_exit(EXIT_INTERRUPT_WINDOW, 0));
	assert_int_equal(entry(), INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x24);
	assert_int_equal(rig_vcpu.ctx->windows, 0);
	assert_int_equal(rvi(), 0x61);
}

static u32 cpu2(void)
{
	return (u32)fake_vmcs_get(SECONDARY_CONTROLS) &
	       (CPU2_VIRTUALIZE_APIC_ACCESSES | CPU2_VIRTUALIZE_X2APIC_MODE |
		CPU2_VIRTUAL_INTERRUPT_DELIVERY);
}

static void set_base(u64 bits)
{
	rig_vcpu.regs.rcx = IA32_APIC_BASE;
	rig_vcpu.regs.rdx = 0;
	rig_vcpu.regs.rax = VLAPIC_MMIO_BASE | APIC_BASE_BSP | bits;
	rig_exit(EXIT_WRMSR, 0);
	entry();
}

/* Claim: in each mode of the APIC, disabled by its SVR or not, the controls are those that VM entry takes. */
static void modes(void **state)
{
	u32 vid = CPU2_VIRTUAL_INTERRUPT_DELIVERY;

	(void)state;
	assert_int_equal(cpu2(), CPU2_VIRTUALIZE_APIC_ACCESSES | vid);
	vlapic_mmio_write(LAPIC, APIC_SVR, 4, 0xff);
	entry();
	assert_int_equal(cpu2(), CPU2_VIRTUALIZE_APIC_ACCESSES);
	assert_false(fake_vmcs_get(PIN_BASED_CONTROLS) & PIN_POSTED_INTERRUPTS);
	vlapic_mmio_write(LAPIC, APIC_SVR, 4, 0x1ff);
	entry();
	assert_int_equal(cpu2(), CPU2_VIRTUALIZE_APIC_ACCESSES | vid);
	assert_true(fake_vmcs_get(PIN_BASED_CONTROLS) & PIN_POSTED_INTERRUPTS);
	fake_invvpids = 0;
	set_base(APIC_BASE_EN | APIC_BASE_EXTD);
	assert_int_equal(cpu2(), CPU2_VIRTUALIZE_X2APIC_MODE | vid);
	assert_int_equal(fake_invvpids, 1); /* the page is not virtualized any more */
	set_base(0);
	assert_int_equal(cpu2(), 0);
	assert_false(fake_vmcs_get(PIN_BASED_CONTROLS) & PIN_POSTED_INTERRUPTS);
}

/* Claim: what a software-disabled APIC holds is not delivered, and is again when it is enabled. */
static void software_disabled(void **state)
{
	(void)state;
	vlapic_post(LAPIC, 0x41, false);
	entry();
	vlapic_mmio_write(LAPIC, APIC_SVR, 4, 0xff);
	entry();
	assert_int_equal(rvi(), 0);
	vlapic_mmio_write(LAPIC, APIC_SVR, 4, 0x1ff);
	entry();
	assert_int_equal(rvi(), 0x41);
}

/* Claim: INIT leaves nothing requested and nothing in service, in page and VMCS. */
static void init(void **state)
{
	(void)state;
	vlapic_post(LAPIC, 0x41, true);
	vlapic_post(LAPIC, 0x81, false);
	entry();
	deliver();
	vlapic_post(LAPIC, 0x91, false);
	LAPIC->base &= ~APIC_BASE_BSP;
	vcpu_request(&rig_vcpu, VCPU_REQ_INIT);
	vcpu_obey_requests(&rig_vcpu);
	entry();
	assert_int_equal(fake_vmcs_get(GUEST_INTERRUPT_STATUS), 0);
	assert_false(eoi_exits(0x41));
	assert_int_equal(cpu2(), CPU2_VIRTUALIZE_APIC_ACCESSES);
	assert_true(vlapic_idle(LAPIC) || vlapic_highest_irr(LAPIC) < 0);
}

/* Claim: an APIC write that the processor has stored is done, and RIP is behind it already. */
static void apic_write(void **state)
{
	(void)state;
	LAPIC->regs[APIC_LVT_ERROR / 4] = 0xffffffff;
	assert_true(rig_exit(EXIT_APIC_WRITE, APIC_LVT_ERROR));
	assert_int_equal(LAPIC->regs[APIC_LVT_ERROR / 4], APIC_MASKED | APIC_VECTOR);
	assert_false(rig_advanced());
	for (unsigned int off = 0; off < PAGE_SIZE; off++)
		assert_true(rig_exit(EXIT_APIC_WRITE, off));
}

/* Claim: code, stacks and page tables in the APIC's page end the VM. */
static void apic_access(void **state)
{
	for (unsigned int type = APIC_ACCESS_WRITE + 1; type < 16; type++) {
		start(state);
		assert_false(rig_exit(EXIT_APIC_ACCESS, type << 12 | 0x80));
		assert_stopped("in the page of the local APIC");
	}
}

/*
 * Claim: whatever comes in whatever order from the VMM, the processor and the guest, at each entry RVI is
 * the highest request and SVI the highest in service, and level-triggered is what exits at its EOI.
 */
static void random_order(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 200000; i++) {
		u64 r = rig_random();
		u8 vector = (u8)(r >> 8 | 0x10), ended;

		switch (r & 7) {
		case 0: vlapic_post(LAPIC, vector, false); break;
		case 1: vlapic_post(LAPIC, vector, true); break;
		case 2: vlapic_eoi(LAPIC); break;
		case 3:
			if (rvi() >> 4 > svi() >> 4)
				deliver();
			break;
		case 4:
			if (svi() && virtual_eoi(&ended))
				rig_exit(EXIT_VIRTUALIZED_EOI, ended);
			break;
		case 5: take_posted(); break;
		case 6: /* a self-IPI */
			*word(APIC_IRR, vector) |= 1u << vector % 32;
			set_status(MAX(rvi(), vector), svi());
			break;
		case 7: LAPIC->regs[APIC_TPR / 4] = vector; break;
		}
		assert_int_equal(entry(), 0);
		assert_int_equal(rvi(), highest(APIC_IRR));
		assert_int_equal(svi(), highest(APIC_ISR));
		assert_false(vlapic_posted(LAPIC));
		assert_int_equal(eoi_exits(vector), *word(APIC_TMR, vector) >> vector % 32 & 1);
	}
	assert_true(rig_eois > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(set_up, start),
		cmocka_unit_test_setup(idle_entry, start),
		cmocka_unit_test_setup(requests, start),
		cmocka_unit_test_setup(eoi_by_software, start),
		cmocka_unit_test_setup(level, start),
		cmocka_unit_test_setup(notification, start),
		cmocka_unit_test_setup(halt, start),
		cmocka_unit_test_setup(pic, start),
		cmocka_unit_test_setup(modes, start),
		cmocka_unit_test_setup(software_disabled, start),
		cmocka_unit_test_setup(init, start),
		cmocka_unit_test_setup(apic_write, start),
		cmocka_unit_test_setup(apic_access, start),
		cmocka_unit_test_setup(random_order, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

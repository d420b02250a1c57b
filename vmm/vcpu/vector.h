/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's vector registers. They stay in the CPU during an exit, and the VMM never uses them; this is the only
 * place that touches them, one at a time.
 */
#ifndef VMM_VCPU_VECTOR_H
#define VMM_VCPU_VECTOR_H

#include "vmm/vcpu/decode.h"

/*
 * May instructions of this kind be executed here with @xcr0, which is the guest's while its registers are loaded?
 * The guest's own one was; but its bytes may have changed since, and a #UD would be ours.
 */
bool vector_usable(enum insn_regs regs, u64 xcr0);

/* All bytes of the register that @regs (not INSN_GENERAL) knows: 16, 32 or 64. */
void vector_read(enum insn_regs regs, unsigned int reg, u8 bytes[INSN_MAX_SIZE]);

/* The same; VEX and EVEX also clear what the register has above. */
void vector_write(enum insn_regs regs, unsigned int reg, const u8 bytes[INSN_MAX_SIZE]);

#endif

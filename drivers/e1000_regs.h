/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers and descriptors of Intel's gigabit controllers, as far as drivers/e1000*.c use them. Names and
 * bits: "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual", and "Intel 82574
 * GbE Controller Family Datasheet" for what only that one has.
 */
#ifndef DRIVERS_E1000_REGS_H
#define DRIVERS_E1000_REGS_H

#include "lib/types.h"

#define E1000_BAR_SIZE 0x20000

/* General */
#define E1000_CTRL                    0x0000
#define E1000_CTRL_GIO_MASTER_DISABLE BIT(2) /* 82574 */
#define E1000_CTRL_LRST               BIT(3)
#define E1000_CTRL_ASDE               BIT(5) /* speed as the PHY says */
#define E1000_CTRL_SLU                BIT(6) /* set link up */
#define E1000_CTRL_ILOS               BIT(7)
#define E1000_CTRL_FRCSPD             BIT(11)
#define E1000_CTRL_FRCDPLX            BIT(12)
#define E1000_CTRL_RST                BIT(26)
#define E1000_CTRL_RFCE               BIT(27)
#define E1000_CTRL_TFCE               BIT(28)
#define E1000_CTRL_VME                BIT(30)
#define E1000_CTRL_PHY_RST            BIT(31)
#define E1000_STATUS                  0x0008
#define E1000_STATUS_FD               BIT(0)
#define E1000_STATUS_LU               BIT(1)
#define E1000_STATUS_GIO_MASTER       BIT(19) /* 82574 */
#define E1000_EERD                    0x0014
#define E1000_EERD_START              BIT(0)
#define E1000_EERD_DATA_SHIFT         16
#define E1000_CTRL_EXT                0x0018
#define E1000_CTRL_EXT_IAME           BIT(27)
#define E1000_CTRL_EXT_PBA            BIT(31) /* 82574: PBA support, for MSI-X */
#define E1000_MDIC                    0x0020
#define E1000_MDIC_REG_SHIFT          16
#define E1000_MDIC_PHY                (1U << 21) /* the internal PHY's address */
#define E1000_MDIC_WRITE              (1U << 26)
#define E1000_MDIC_READ               (2U << 26)
#define E1000_MDIC_READY              BIT(28)
#define E1000_MDIC_ERROR              BIT(30)
#define E1000_FCAL                    0x0028
#define E1000_FCAH                    0x002c
#define E1000_FCT                     0x0030
#define E1000_VET                     0x0038
#define E1000_FCTTV                   0x0170

/* The PHY's control register, of IEEE 802.3 */
#define PHY_CONTROL            0
#define PHY_CONTROL_RESTART    BIT(9)
#define PHY_CONTROL_POWER_DOWN BIT(11)
#define PHY_CONTROL_AUTONEG    BIT(12)

/* Interrupts */
#define E1000_ICR              0x00c0
#define E1000_ITR              0x00c4 /* units of 256 ns */
#define E1000_ICS              0x00c8
#define E1000_IMS              0x00d0
#define E1000_IMC              0x00d8
#define E1000_IVAR             0x00e4 /* 82574, in MSI-X mode: which cause is which entry */
#define E1000_EITR0            0x00e8
#define E1000_INT_LSC          BIT(2)
#define E1000_INT_RXDMT0       BIT(4)
#define E1000_INT_RXO          BIT(6)
#define E1000_INT_RXT0         BIT(7)
#define E1000_INT_RXQ0         BIT(20) /* 82574, in MSI-X mode */
#define E1000_INT_OTHER        BIT(24)
#define E1000_IVAR_VALID       8U
#define E1000_IVAR_RXQ0_SHIFT  0
#define E1000_IVAR_TXQ0_SHIFT  8
#define E1000_IVAR_OTHER_SHIFT 16

/* Receive */
#define E1000_RCTL       0x0100
#define E1000_RCTL_EN    BIT(1)
#define E1000_RCTL_UPE   BIT(3) /* unicast promiscuous */
#define E1000_RCTL_MPE   BIT(4) /* multicast promiscuous */
#define E1000_RCTL_BAM   BIT(15)
#define E1000_RCTL_SECRC BIT(26) /* strip the CRC; BSIZE 0 is 2048 */
#define E1000_RDBAL      0x2800
#define E1000_RDBAH      0x2804
#define E1000_RDLEN      0x2808
#define E1000_RDH        0x2810
#define E1000_RDT        0x2818
#define E1000_RDTR       0x2820
#define E1000_RADV       0x282c
#define E1000_RXCSUM     0x5000
#define E1000_RAL0       0x5400
#define E1000_RAH0       0x5404
#define E1000_RAH_AV     BIT(31)

/* Transmit */
#define E1000_TCTL              0x0400
#define E1000_TCTL_EN           BIT(1)
#define E1000_TCTL_PSP          BIT(3)
#define E1000_TCTL_CT           (15U << 4)
#define E1000_TCTL_COLD         (64U << 12)
#define E1000_TCTL_MULR         BIT(28) /* 82574: on, as reset has it */
#define E1000_TIPG              0x0410
#define E1000_TIPG_COPPER       (8U | 8U << 10 | 6U << 20)
#define E1000_TDBAL             0x3800
#define E1000_TDBAH             0x3804
#define E1000_TDLEN             0x3808
#define E1000_TDH               0x3810
#define E1000_TDT               0x3818
#define E1000_TIDV              0x3820
#define E1000_TXDCTL            0x3828
#define E1000_TXDCTL_COUNT_DESC BIT(22) /* 82574: has to be set */
#define E1000_TXDCTL_GRAN       BIT(24)
#define E1000_TADV              0x382c

/* "Receive Descriptor Format", legacy */
struct e1000_rx_desc {
	u64 address;
	u16 length;
	u16 checksum;
	u8 status;
	u8 errors;
	u16 special;
};

#define E1000_RXD_DD  BIT(0)
#define E1000_RXD_EOP BIT(1)
/* CE, SE, SEQ, CXE, RXE: the frame is broken. The other two are of checksums that nobody has asked for. */
#define E1000_RXD_BROKEN 0x97U

/* "Legacy Transmit Descriptor Format" */
struct e1000_tx_desc {
	u64 address;
	u16 length;
	u8 cso;
	u8 cmd;
	u8 status;
	u8 css;
	u16 special;
};

#define E1000_TXD_EOP  BIT(0)
#define E1000_TXD_IFCS BIT(1)
#define E1000_TXD_RS   BIT(3)
#define E1000_TXD_DD   BIT(0)

_Static_assert(sizeof(struct e1000_rx_desc) == 16, "layout");
_Static_assert(offsetof(struct e1000_rx_desc, status) == 12, "layout");
_Static_assert(sizeof(struct e1000_tx_desc) == 16, "layout");
_Static_assert(offsetof(struct e1000_tx_desc, status) == 12, "layout");

#endif

; SPDX-License-Identifier: BSD-2-Clause
; Where a CPU begins after a SIPI: real mode, at the start of a page that a copy of this was put into.
; It notes the registers that it finds, and goes on in long mode as ap_main(index).

%define CR0_PG (1 << 31)
%define CR0_NW (1 << 29)
%define CR0_CD (1 << 30)
%define CR4_PAE (1 << 5)
%define EFER 0xc0000080
%define EFER_LME (1 << 8)
%define APIC_BASE 0x1b
%define APIC_BASE_EXTD (1 << 10)
%define X2APIC_ID 0x802
%define XAPIC_ID 0xfee00020
%define STACK_SHIFT 13

extern gdt, gdt_pointer, pml4, smp_index, smp_idt_pointer, ap_main

section .rodata
bits 16
global smp_blob, smp_blob_state, smp_blob_end
smp_blob:
%define AT(label) cs:(label - smp_blob)
	mov [AT(state.eax)], eax
	mov [AT(state.ebx)], ebx
	mov [AT(state.ecx)], ecx
	mov [AT(state.edx)], edx
	mov [AT(state.esi)], esi
	mov [AT(state.edi)], edi
	mov [AT(state.ebp)], ebp
	mov [AT(state.esp)], esp
	mov [AT(state.cs)], cs
	mov [AT(state.ds)], ds
	mov [AT(state.es)], es
	mov [AT(state.fs)], fs
	mov [AT(state.gs)], gs
	mov [AT(state.ss)], ss
	mov ax, cs
	mov ss, ax
	mov sp, 4096
	pushfd
	pop dword [AT(state.eflags)]
	mov eax, cr0
	mov [AT(state.cr0)], eax
	mov eax, cr2
	mov [AT(state.cr2)], eax
	mov eax, cr3
	mov [AT(state.cr3)], eax
	mov eax, cr4
	mov [AT(state.cr4)], eax
	mov eax, dr6
	mov [AT(state.dr6)], eax
	mov eax, dr7
	mov [AT(state.dr7)], eax
	sgdt [AT(pointer)]
	mov ax, [AT(pointer)]
	mov [AT(state.gdt_limit)], ax
	mov eax, [AT(pointer + 2)]
	mov [AT(state.gdt_base)], eax
	sidt [AT(pointer)]
	mov ax, [AT(pointer)]
	mov [AT(state.idt_limit)], ax
	mov eax, [AT(pointer + 2)]
	mov [AT(state.idt_base)], eax
	o32 lgdt [AT(flat_gdt)]
	mov eax, cr0
	and eax, ~(CR0_CD | CR0_NW)
	or eax, 1
	mov cr0, eax
	jmp dword 0x18:ap_protected

flat_gdt:
	dw 0x1f                 ; enough for 32-bit and 64-bit code and data
	dd gdt
pointer:
	times 6 db 0
align 4
smp_blob_state:
state:
.eax: dd 0
.ebx: dd 0
.ecx: dd 0
.edx: dd 0
.esi: dd 0
.edi: dd 0
.ebp: dd 0
.esp: dd 0
.eflags: dd 0
.cr0: dd 0
.cr2: dd 0
.cr3: dd 0
.cr4: dd 0
.dr6: dd 0
.dr7: dd 0
.cs: dd 0
.ds: dd 0
.es: dd 0
.fs: dd 0
.gs: dd 0
.ss: dd 0
.gdt_limit: dw 0
.idt_limit: dw 0
.gdt_base: dd 0
.idt_base: dd 0
smp_blob_end:

section .text
bits 32
ap_protected:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov eax, cr4
	or eax, CR4_PAE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, EFER
	rdmsr
	or eax, EFER_LME
	wrmsr
	mov eax, cr0
	or eax, CR0_PG
	mov cr0, eax
	jmp 0x08:.long
bits 64
.long:
	; Which CPU is this? Its stack is chosen by the APIC's own word.
	mov ecx, APIC_BASE
	rdmsr
	test eax, APIC_BASE_EXTD
	jz .xapic
	mov ecx, X2APIC_ID
	rdmsr
	jmp .known
.xapic:
	mov eax, XAPIC_ID
	mov eax, [rax]
	shr eax, 24
.known:
	movzx eax, al
	movzx edi, byte [smp_index + rax]
	lea rax, [rdi + 1]
	shl rax, STACK_SHIFT
	lea rsp, [smp_stacks + rax]
	lgdt [gdt_pointer]
	lidt [smp_idt_pointer]
	xor ebp, ebp
	call ap_main
	ud2

section .bss
alignb 16
smp_stacks: resb 16 << STACK_SHIFT

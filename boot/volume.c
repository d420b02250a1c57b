/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/volume.h"
#include "boot/config.h"
#include "boot/efi.h"
#include "boot/messages.h"
#include "lib/printk.h"
#include "lib/string.h"

#define FOLDER_LEN 256             /* characters of a folder's name */
#define MAX_NODES  32              /* of a device path */
#define CHUNK      ((UINTN)MIB(8)) /* of one read: some firmware cannot do large ones */

static const CHAR16 default_folder[] = u"\\EFI\\lintel";

static EFI_FILE_HANDLE folder;

/* The text of the file nodes of @path, which lie unaligned one behind the other. */
static size_t path_text(const EFI_DEVICE_PATH *path, CHAR16 *text, size_t max)
{
	const u8 *node = (const u8 *)path;
	size_t len = 0;

	for (unsigned int i = 0; node && i < MAX_NODES; i++) {
		size_t size = (size_t)(node[2] | node[3] << 8);
		bool is_file = node[0] == MEDIA_DEVICE_PATH && node[1] == MEDIA_FILEPATH_DP;

		if ((node[0] & EFI_DP_TYPE_MASK) == END_DEVICE_PATH_TYPE || size < 4)
			break;
		for (size_t off = 4; is_file && off + 2 <= size && len + 1 < max; off += 2) {
			memcpy(&text[len], node + off, sizeof(*text));
			if (!text[len])
				break;
			len++;
		}
		node += size;
	}
	text[len] = 0;
	return len;
}

/* The folder that lintel.efi lies in; false when the firmware does not say. */
static bool own_folder(const EFI_LOADED_IMAGE *image, CHAR16 *name)
{
	size_t len = path_text(image->FilePath, name, FOLDER_LEN);

	while (len && name[len - 1] != '\\')
		len--;
	if (len > 1)
		len--; /* without the '\', unless it is the root */
	name[len] = 0;
	return len > 0;
}

static EFI_FILE_HANDLE open_file(EFI_FILE_HANDLE in, const CHAR16 *name)
{
	EFI_FILE_HANDLE file = NULL;
	EFI_STATUS status;

	status = in->Open(in, &file, (CHAR16 *)(uintptr_t)name, EFI_FILE_MODE_READ, 0);
	return EFI_ERROR(status) ? NULL : file;
}

static void print_folder(const CHAR16 *name)
{
	char text[FOLDER_LEN];
	size_t i;

	for (i = 0; name[i] && i + 1 < sizeof(text); i++)
		text[i] = name[i] >= ' ' && name[i] < 0x7f ? (char)name[i] : '?';
	text[i] = 0;
	pr_info("boot: files from %s\n", text);
}

static bool use_folder(EFI_FILE_HANDLE root, const CHAR16 *name)
{
	EFI_FILE_HANDLE dir = open_file(root, name);
	EFI_FILE_HANDLE config = dir ? open_file(dir, EFI_STRING("lintel.conf")) : NULL;

	if (!config) {
		if (dir)
			dir->Close(dir);
		return false;
	}
	config->Close(config);
	folder = dir;
	print_folder(name);
	return true;
}

static EFI_FILE_HANDLE open_root(const EFI_LOADED_IMAGE *image)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_FILE_IO_INTERFACE *fs;
	EFI_FILE_HANDLE root;

	if (EFI_ERROR(BS->HandleProtocol(image->DeviceHandle, &guid, (void **)&fs)) ||
	    EFI_ERROR(fs->OpenVolume(fs, &root)))
		return NULL;
	return root;
}

bool volume_open(void)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	CHAR16 own[FOLDER_LEN];
	EFI_LOADED_IMAGE *image;
	EFI_FILE_HANDLE root = NULL;

	if (!EFI_ERROR(BS->HandleProtocol(efi_image, &guid, (void **)&image)))
		root = open_root(image);
	if (!root) {
		pr_err(CONFIG_FILE ": lintel.efi was not started from a file system: "
				   "expected one with \\EFI\\lintel\\" CONFIG_FILE "\n");
		return false;
	}
	if ((own_folder(image, own) && use_folder(root, own)) || use_folder(root, default_folder))
		return true;
	pr_err(CONFIG_FILE ": not found: expected it beside lintel.efi or in \\EFI\\lintel\n");
	return false;
}

/* UEFI, "Hard Drive Media Device Path": offsets of its fields. */
#define HARDDRIVE_SIGNATURE      24
#define HARDDRIVE_SIGNATURE_TYPE 41
#define HARDDRIVE_SIZE           42
#define HARDDRIVE_IS_GUID        2

bool volume_partition(u8 *guid)
{
	EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID,
		 path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *image;
	const u8 *node;

	if (EFI_ERROR(BS->HandleProtocol(efi_image, &image_guid, (void **)&image)) ||
	    EFI_ERROR(BS->HandleProtocol(image->DeviceHandle, &path_guid, (void **)&node)))
		return false;
	for (unsigned int i = 0; node && i < MAX_NODES; i++) {
		size_t size = (size_t)(node[2] | node[3] << 8);

		if ((node[0] & EFI_DP_TYPE_MASK) == END_DEVICE_PATH_TYPE || size < 4)
			break;
		if (node[0] == MEDIA_DEVICE_PATH && node[1] == MEDIA_HARDDRIVE_DP &&
		    size >= HARDDRIVE_SIZE && node[HARDDRIVE_SIGNATURE_TYPE] == HARDDRIVE_IS_GUID) {
			memcpy(guid, node + HARDDRIVE_SIGNATURE, 16);
			return true;
		}
		node += size;
	}
	return false;
}

/* Paths have been checked to be ASCII. */
static bool to_utf16(const char *path, CHAR16 *text, size_t max)
{
	size_t i;

	for (i = 0; path[i]; i++) {
		if (i + 1 == max)
			return false;
		text[i] = path[i] == '/' ? '\\' : (u8)path[i];
	}
	text[i] = 0;
	return true;
}

static const char *file_size(EFI_FILE_HANDLE f, u64 max_size, u64 *size)
{
	/* Position ~0 means the end of a file, and is an error for a folder. */
	if (EFI_ERROR(f->SetPosition(f, ~0ULL)) || EFI_ERROR(f->GetPosition(f, size)) ||
	    EFI_ERROR(f->SetPosition(f, 0)))
		return "is not a file";
	if (!*size)
		return "the file is empty";
	if (*size > max_size)
		return "the file is too large";
	return NULL;
}

static const char *read_all(EFI_FILE_HANDLE f, u8 *data, u64 size)
{
	for (u64 done = 0; done < size;) {
		UINTN len = MIN(size - done, CHUNK);

		if (EFI_ERROR(f->Read(f, &len, data + done)))
			return "the firmware cannot read it";
		if (!len)
			return "the file ends early";
		done += len;
	}
	return NULL;
}

static u64 pages_of(u64 size)
{
	return ALIGN_UP(size, PAGE_SIZE) / PAGE_SIZE;
}

void volume_free(struct boot_file *file)
{
	if (file->data)
		BS->FreePages((EFI_PHYSICAL_ADDRESS)file->data, pages_of(file->size));
	*file = (struct boot_file){ NULL, 0 };
}

static const char *read_file(EFI_FILE_HANDLE f, u64 size, struct boot_file *file)
{
	EFI_PHYSICAL_ADDRESS base;
	const char *problem;
	u8 *data;

	if (EFI_ERROR(BS->AllocatePages(AllocateAnyPages, EfiLoaderData, pages_of(size), &base)))
		return "there is not enough memory to read it";
	data = (u8 *)base;
	*file = (struct boot_file){ data, size };
	problem = read_all(f, data, size);
	if (problem) {
		volume_free(file);
		return problem;
	}
	memset(data + size, 0, pages_of(size) * PAGE_SIZE - size);
	return NULL;
}

static void announce(const char *who, const char *path, u64 size)
{
	bool large = size >= MIB(1);

	pr_info("boot: %s: %s %llu %s\n", who, path,
		(unsigned long long)(size + (large ? MIB(1) / 2 : KIB(1) - 1)) >> (large ? 20 : 10),
		large ? "MiB" : "KiB");
	messages_flush();
}

const char *volume_read(const char *who, const char *path, u64 max_size, struct boot_file *file)
{
	CHAR16 name[CONFIG_PATH_LEN];
	const char *problem;
	EFI_FILE_HANDLE f;
	u64 size;

	if (!to_utf16(path, name, ARRAY_SIZE(name)))
		return "the file name is too long";
	f = open_file(folder, name);
	if (!f)
		return "there is no such file";
	problem = file_size(f, max_size, &size);
	if (!problem) {
		if (who)
			announce(who, path, size);
		problem = read_file(f, size, file);
	}
	f->Close(f);
	return problem;
}

/*
 * digest.c - telling stored models apart by the heads of their sections, which
 * hold lengths and checksums of everything.  The format is drawn in
 * serialize.c.
 */
#include <string.h>

#include "mml_format.h"

#define HEADS_BYTES (MML_FILE_HEAD + MML_SECTIONS * MML_SECTION_HEAD)

static const uint32_t tags[MML_SECTIONS] = {
	MML_TAG_CONFIG, MML_TAG_FACTS, MML_TAG_PHASES, MML_TAG_FIELDS, MML_TAG_DOMAINS, MML_TAG_TENSORS
};

static uint64_t
number_at(const unsigned char *at, int n_bytes)
{
	uint64_t	value = 0;

	for (int i = 0; i < n_bytes; i++)
		value |= (uint64_t) at[i] << (8 * i);
	return value;
}

static void
put_number(unsigned char *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (unsigned char) (value >> (8 * i));
}

/* Whether this can be the head of a file of so many bytes. */
static bool
is_file_head(const unsigned char *head, uint64_t total)
{
	return memcmp(head, MML_FILE_MAGIC, 8) == 0 && number_at(head + 8, 4) == MML_FILE_VERSION &&
		number_at(head + 12, 4) == MML_SECTIONS && number_at(head + 16, 8) == total;
}

int
mml_format_version(void)
{
	return MML_FILE_VERSION;
}

mml_status
mml_model_digest(const mml_glimpse *glimpse, unsigned char digest[MML_DIGEST_BYTES])
{
	unsigned char heads[HEADS_BYTES];
	unsigned char *head = heads + MML_FILE_HEAD;
	uint64_t	at = MML_FILE_HEAD;

	if (glimpse->total < HEADS_BYTES)
		return MML_BAD_MODEL;
	MML_TRY(glimpse->read(glimpse->self, 0, heads, MML_FILE_HEAD));
	if (!is_file_head(heads, glimpse->total))
		return MML_BAD_MODEL;
	for (int i = 0; i < MML_SECTIONS; i++, head += MML_SECTION_HEAD)
	{
		if (glimpse->total - at < MML_SECTION_HEAD)
			return MML_BAD_MODEL;
		MML_TRY(glimpse->read(glimpse->self, at, head, MML_SECTION_HEAD));
		at += MML_SECTION_HEAD;
		if (number_at(head, 4) != tags[i] || number_at(head + 4, 4) != 0 || number_at(head + 8, 8) > glimpse->total - at)
			return MML_BAD_MODEL;
		at += number_at(head + 8, 8);
	}
	if (at != glimpse->total)
		return MML_BAD_MODEL;
	put_number(digest, mml_hash_bytes(heads, sizeof(heads), 1));
	put_number(digest + 8, mml_hash_bytes(heads, sizeof(heads), 2));
	return MML_OK;
}

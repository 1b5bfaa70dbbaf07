/*
 * digest.c - telling stored models apart by the heads of their sections, which
 * hold lengths and checksums of everything.  The format is drawn in
 * serialize.c.
 */
#include <string.h>

#include "mml_format.h"

_Static_assert(MML_DIGEST_HEADS == 1 + MML_SECTIONS && MML_DIGEST_HEAD == MML_FILE_HEAD &&
			   MML_DIGEST_HEAD == MML_SECTION_HEAD, "the digest holds all heads");

static const uint32_t tags[MML_SECTIONS] = {
	MML_TAG_CONFIG, MML_TAG_FACTS, MML_TAG_PHASES, MML_TAG_FIELDS, MML_TAG_DOMAINS, MML_TAG_PROFILE, MML_TAG_TENSORS
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

/* Reads the head at *at and steps over what it says comes behind. */
static mml_status
take_section(const mml_glimpse *glimpse, int section, uint64_t *at, unsigned char *head)
{
	if (glimpse->total - *at < MML_SECTION_HEAD)
		return MML_BAD_MODEL;
	MML_TRY(glimpse->read(glimpse->self, *at, head, MML_SECTION_HEAD));
	*at += MML_SECTION_HEAD;
	if (number_at(head, 4) != tags[section] || number_at(head + 4, 4) != 0 ||
		number_at(head + 8, 8) > glimpse->total - *at)
		return MML_BAD_MODEL;
	*at += number_at(head + 8, 8);
	return MML_OK;
}

mml_status
mml_model_digest(const mml_glimpse *glimpse, mml_digest *digest)
{
	uint64_t	at = MML_FILE_HEAD;

	digest->total = glimpse->total;
	digest->at[0] = 0;
	if (glimpse->total < MML_FILE_HEAD)
		return MML_BAD_MODEL;
	MML_TRY(glimpse->read(glimpse->self, 0, digest->heads[0], MML_FILE_HEAD));
	if (!is_file_head(digest->heads[0], glimpse->total))
		return MML_BAD_MODEL;
	for (int i = 0; i < MML_SECTIONS; i++)
	{
		digest->at[i + 1] = at;
		MML_TRY(take_section(glimpse, i, &at, digest->heads[i + 1]));
	}
	if (at != glimpse->total)
		return MML_BAD_MODEL;
	put_number(digest->key, mml_hash_bytes(digest->heads, sizeof(digest->heads), 1));
	put_number(digest->key + 8, mml_hash_bytes(digest->heads, sizeof(digest->heads), 2));
	return MML_OK;
}

bool
mml_digest_is_of(const mml_digest *digest, const void *bytes, size_t n)
{
	const unsigned char *from = bytes;

	if (n != digest->total)
		return false;
	for (int i = 0; i < MML_DIGEST_HEADS; i++)
		if (memcmp(from + digest->at[i], digest->heads[i], MML_DIGEST_HEAD) != 0)
			return false;
	return true;
}

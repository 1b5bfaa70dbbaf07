/*
 * mml_format.h - what writer and reader of stored models share; the format is
 * drawn in serialize.c.  Private to trainer/.
 */
#ifndef MML_FORMAT_H
#define MML_FORMAT_H

#include "mml_profile.h"

#define MML_FILE_MAGIC "moemlora"
#define MML_FILE_VERSION 1
#define MML_FILE_HEAD 24		/* bytes before the first section */
#define MML_SECTION_HEAD 24		/* bytes before a section's payload */
#define MML_SECTIONS 7
#define MML_FORMAT_PIECE ((size_t) 1 << 20) /* bytes between two polls */

#define MML_TAG(a, b, c, d) \
	((uint32_t) (a) | (uint32_t) (b) << 8 | (uint32_t) (c) << 16 | (uint32_t) (d) << 24)
#define MML_TAG_CONFIG MML_TAG('C', 'O', 'N', 'F')
#define MML_TAG_FACTS MML_TAG('F', 'A', 'C', 'T')
#define MML_TAG_PHASES MML_TAG('P', 'H', 'A', 'S')
#define MML_TAG_FIELDS MML_TAG('F', 'I', 'E', 'L')
#define MML_TAG_DOMAINS MML_TAG('D', 'O', 'M', 'A')
#define MML_TAG_PROFILE MML_TAG('P', 'R', 'O', 'F')
#define MML_TAG_TENSORS MML_TAG('T', 'E', 'N', 'S')

/* A 64-bit checksum of a stream: four lanes of eight bytes.  Against accidents, not against forgers. */
#define MML_CHECKSUM_LANES 4

typedef struct mml_checksum
{
	uint64_t	lane[MML_CHECKSUM_LANES];
	uint64_t	total;
	unsigned char held[8 * MML_CHECKSUM_LANES];
	size_t		n_held;
} mml_checksum;

extern void mml_checksum_init(mml_checksum *sum);
extern void mml_checksum_add(mml_checksum *sum, const void *bytes, size_t n);
extern uint64_t mml_checksum_end(const mml_checksum *sum);

#endif							/* MML_FORMAT_H */

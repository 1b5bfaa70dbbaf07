/*
 * mml_rows.h - the core's rooms around data: vocabularies, fields, rows, and
 * the data set made of them.  Private to trainer/ and its unit tests.
 */
#ifndef MML_ROWS_H
#define MML_ROWS_H

#include "mml_math.h"

/* ---- vocabulary.c: values -> ids ---- */

#define MML_ID_UNKNOWN 0		/* of every categorical table */
#define MML_ID_NULL 1
#define MML_ID_FIRST 2			/* the first value of a vocabulary */

/*
 * The values of one categorical or multi feature, as 64-bit hashes.  While it
 * learns, ids follow the order of arrival; frozen, they follow the hashes, so
 * they do not depend on the order of the rows.
 */
typedef struct mml_vocabulary
{
	uint32_t	n;				/* values */
	uint64_t   *hashes;			/* [n]; frozen: ascending, hashes[i] has id i + MML_ID_FIRST */
	size_t		hashes_held;
	uint32_t   *slots;			/* learning: [n_slots] open addressing, index + 1, 0 = free */
	size_t		n_slots;		/* a power of two */
	uint32_t   *starts;			/* frozen: starts[h >> shift] = first index of that bucket; one more at the end */
	int			shift;
} mml_vocabulary;

/* The value's id while learning: MML_ID_FIRST + order of arrival. */
extern mml_status mml_vocabulary_learn(mml_host *host, mml_vocabulary *vocabulary, uint64_t hash, uint32_t *id);

/* Keeps the values with counts[i] >= min_count (and > 0), freezes, and fills to_final: [n before] with ids. */
extern mml_status mml_vocabulary_freeze(mml_host *host, mml_vocabulary *vocabulary,
										const uint32_t *counts, uint32_t min_count, uint32_t *to_final);

/* hashes: [n] ascending, taken over. */
extern mml_status mml_vocabulary_from_sorted(mml_host *host, mml_vocabulary *vocabulary, uint64_t *hashes, uint32_t n);

/* A frozen vocabulary's id, MML_ID_UNKNOWN for other values. */
extern uint32_t mml_vocabulary_find(const mml_vocabulary *vocabulary, uint64_t hash);

/* What finding it will read: asked for some time before, first the one and then the other. */
static MML_ALWAYS_INLINE void
mml_vocabulary_prefetch_start(const mml_vocabulary *vocabulary, uint64_t hash)
{
	MML_PREFETCH(&vocabulary->starts[hash >> vocabulary->shift]);
}

static MML_ALWAYS_INLINE void
mml_vocabulary_prefetch(const mml_vocabulary *vocabulary, uint64_t hash)
{
	MML_PREFETCH(&vocabulary->hashes[vocabulary->starts[hash >> vocabulary->shift]]);
}

extern void mml_vocabulary_free(mml_host *host, mml_vocabulary *vocabulary);

/* Names with an index: the domains. */
typedef struct mml_names
{
	uint32_t	n;
	mml_domain *entries;		/* [n] */
	size_t		entries_held;
	uint32_t   *slots;			/* [n_slots], index + 1, 0 = free */
	size_t		n_slots;
} mml_names;

/* Index of a name, or -1. */
extern int64_t mml_names_find(const mml_names *names, const char *name, size_t length);

/* Adds a name that is not there yet. */
extern mml_status mml_names_add(mml_host *host, mml_names *names, const char *name, size_t length, uint32_t *index);

/* Keeps the entries with rows > 0, sorted by bytes; to_final: [n before] new indexes, UINT32_MAX = gone. */
extern mml_status mml_names_settle(mml_host *host, mml_names *names, uint32_t *to_final);
extern void mml_names_free(mml_host *host, mml_names *names);

/* ---- field.c: what a feature is, and its values in a row ---- */

typedef struct mml_field
{
	char	   *name;
	int32_t		kind;			/* mml_kind; domain is categorical */
	int32_t		is_domain;
	uint32_t	hash_buckets;
	int32_t		log1p;
	int32_t		standardize;
	int32_t		project;
	uint32_t	width;			/* vector: numbers of a value */
	uint32_t	n_boundaries;
	double	   *boundaries;
	double		mean;			/* numeric, over the training rows */
	double		inverse_std;	/* 0 where std is 0 */
	mml_vocabulary vocabulary;

	uint32_t	table_rows;		/* of embedding.<name>: ids; 1 for numeric; 0 for vector */
	uint32_t	slot;			/* word of the row's record */
	uint32_t	vector_start;	/* where in the row's vector record */
} mml_field;

extern mml_status mml_field_copy_spec(mml_host *host, mml_field *field, const mml_field_spec *spec);
extern void mml_field_free(mml_host *host, mml_field *field);

/* "categorical" and so on. */
extern const char *mml_kind_name(int32_t kind);

/* Whether its ids are those of a vocabulary; the domain's are not. */
extern bool mml_field_has_vocabulary(const mml_field *field);

/* Ids of a frozen categorical or multi field, or 1 or 0 as table_rows says. */
extern uint32_t mml_field_table_rows(const mml_field *field);

/* What is kept of the rows of a training, see mml_profile.h. */
typedef struct mml_profile mml_profile;

/* ---- rows.c: rows as they come in; row_values.c: their values; dataset.c: what is made of them ---- */

/*
 * A row's record is `row_words` words of 32 bits side by side:
 *
 *   label  weight  domain  split  hash......  | a slot per feature
 *   float  float   id      0/1    64 bits     |
 *
 * Slots: categorical: id.  Numeric: while learning the double (two words, NaN =
 * NULL), then z as float in the first and the number itself, or NaN, as float in
 * the second.  Multi: place of its list in the items, number of ids.  Vectors have no slot: their numbers lie in records of
 * `vector_words` floats of their own.
 */
#define MML_ROW_LABEL 0
#define MML_ROW_WEIGHT 1
#define MML_ROW_DOMAIN 2
#define MML_ROW_SPLIT 3
#define MML_ROW_HASH 4
#define MML_ROW_HEAD 6

/* A category of the row to score that has no id yet. */
typedef struct mml_waiting
{
	int			field;
	uint64_t	hash;
} mml_waiting;

#define MML_ITEM_SHIFT 16		/* items come in pages of 65536 ids; a list never straddles two */
#define MML_DOMAIN_MEAN UINT32_MAX	/* id of a row whose unknown domain is served by the mean */

struct mml_rows
{
	mml_host   *host;
	bool		is_learning;
	bool		is_finished;
	mml_config	config;
	int			n_fields;		/* domain included, last */
	mml_field  *fields;			/* [n_fields] */
	mml_names  *names;			/* domains */
	bool		owns_fields;	/* and names */
	int			unknown_domain; /* mml_unknown_domain, scoring */

	uint32_t	row_words;
	uint32_t	vector_words;
	int			row_shift;		/* a page holds 1 << row_shift rows */
	size_t		capacity;		/* scoring: most rows; 0 = no end */
	size_t		n_rows;
	mml_arena	arena;			/* of the pages */
	mml_ref    *row_pages;
	mml_ref    *vector_pages;
	mml_ref    *item_pages;
	size_t		n_row_pages, row_pages_held;
	size_t		n_vector_pages, vector_pages_held;
	size_t		n_item_pages, item_pages_held;
	size_t		item_end;		/* items of finished rows */
	size_t		item_next;		/* and of the row at work */
	double	   *times;			/* [n_rows] where the rows have times */
	size_t		times_held;
	bool		has_times;
	bool		has_weights;	/* some weight is not 1 */

	uint32_t   *record;			/* of the row at work */
	float	   *vectors;
	uint64_t	hash;
	uint64_t	list_hash;
	mml_waiting *waiting;		/* scoring: [n_fields]; a feature is put once in a row */
	int			n_waiting;

	uint32_t   *order;			/* finished: training rows in canonical order, then validation rows by domain */
	size_t		n_train;
	size_t		n_valid;
	int32_t    *domain_expert;	/* finished: [D + 1] first expert of a domain's id, -1 = none */
	int32_t		n_experts;
	mml_profile *profile;

	mml_model  *previous;		/* what a warm start goes on from, owned; else NULL */
	int32_t		previous_version;	/* its number, 0 = no warm start */
	char	   *added;			/* the one domain that these rows add to it; NULL: they train all */
};

extern void mml_rows_init_layout(mml_rows *rows);

/* A page of `words` words more, at the end of `pages`. */
extern mml_status mml_rows_add_page(mml_rows *rows, mml_ref **pages, size_t *n_pages, size_t *held, size_t words);

/* Moves the rows held so far, and the one at work, to records in which a vector feature has its width; on failure all is as before. */
extern mml_status mml_rows_widen(mml_rows *rows, mml_field *field, size_t width);

/* ---- row_values.c ---- */

/* Gives the categories of the row to score their ids: all at once, so that they wait for memory together. */
extern void mml_rows_look_up(mml_rows *rows);

/* The row's hash does not depend on the order of the puts. */
static inline void
mml_rows_add_hash(mml_rows *rows, int field, uint64_t value_hash)
{
	rows->hash += mml_combine((uint64_t) field + 1, value_hash);
}

extern mml_status mml_rows_create_scoring(mml_host *host, mml_field *fields, int n_fields, mml_names *names,
										  int unknown_domain, size_t capacity, mml_rows **rows);

/* A row by its ids and z values, as golden files give them: after mml_rows_begin(). */
extern void mml_put_id(mml_rows *rows, int field, uint32_t id);
extern void mml_put_z(mml_rows *rows, int field, float z);
extern mml_status mml_put_item_id(mml_rows *rows, int field, uint32_t id);
extern mml_status mml_rows_put_time(mml_rows *rows, double time);

/* Says how wide a vector feature is, as its first value would. */
extern mml_status mml_rows_set_width(mml_rows *rows, int field, size_t width);
extern void mml_rows_end_raw(mml_rows *rows, float label, float weight, uint32_t domain, int split);

static inline uint32_t *
mml_rows_record(const mml_rows *rows, size_t row)
{
	uint32_t   *page = mml_arena_at(&rows->arena, rows->row_pages[row >> rows->row_shift]);

	return page + (row & (((size_t) 1 << rows->row_shift) - 1)) * rows->row_words;
}

static inline float *
mml_rows_vectors(const mml_rows *rows, size_t row)
{
	float	   *page = mml_arena_at(&rows->arena, rows->vector_pages[row >> rows->row_shift]);

	return page + (row & (((size_t) 1 << rows->row_shift) - 1)) * rows->vector_words;
}

/*
 * dataset.c: gives each domain with enough training rows, or with experts in the
 * version before, its experts: fills domain_expert, n_experts.
 */
extern mml_status mml_rows_assign_experts(mml_rows *rows, const mml_config *config);

/* ---- warm.c: what rows take over from the version before; nothing without one ---- */

/* MML_BAD_OPTION: with this configuration training cannot go on from that version. */
extern mml_status mml_warm_check(const mml_rows *rows, const mml_config *config);

/* counts: [values of field f as learned]; makes all values of that version stay when it freezes. */
extern void mml_warm_keep_values(const mml_rows *rows, int f, uint32_t *counts);

/* Numeric features get the mean and deviation of that version. */
extern void mml_warm_keep_scales(mml_rows *rows);

/* The first expert that a domain (its index now) had in that version, -1 = none. */
extern int32_t mml_warm_expert(const mml_rows *rows, uint32_t domain);

/* ---- add_domain.c: rows that add a domain to the version before ---- */

/* The domain's id among those of the rows once they are finished, 0 = they add none. */
extern uint32_t mml_added_domain(const mml_rows *rows);

/* MML_BAD_DATA: there are rows of other domains. */
extern mml_status mml_added_check(const mml_rows *rows);

/* The mode that serves the version with it. */
extern mml_mode mml_added_mode(const mml_rows *rows);

/* What such a training may not change is as in the version before; nothing for other rows. */
extern void mml_added_config(const mml_rows *rows, mml_config *config);

#endif							/* MML_ROWS_H */

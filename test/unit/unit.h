/*
 * unit.h - the harness of the unit tests: a host on malloc, counted checks,
 * and a small network for tests that need one.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>

#include "mml_train.h"

/* ---- unit.c ---- */

/* A host whose memory is malloc's.  Allocations fail from the `fails_at`-th on while that is not 0. */
typedef struct unit_host
{
	mml_host	host;
	long		n_allocations;
	long		fails_at;		/* 1 = the next one fails; 0 = never */
	long		n_held;			/* pieces not yet released */
	size_t		most_used;		/* largest memory_used so far */
	bool		stops;			/* poll says stop */
	long		n_polls;
	long		stops_at;		/* the n-th poll says stop; 0 = never */
	long		n_epochs;		/* reported, without signs of life */
	jmp_buf    *jump;			/* where not NULL, what fails or stops leaves by longjmp, as in a server */
} unit_host;

extern void unit_host_init(unit_host *unit);

/* Counts a check; prints the text when it fails. */
extern bool unit_check(bool is_ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* |a - b| <= tolerance * max(1, |b|) */
extern bool unit_close(double a, double b, double tolerance, const char *what);

/*
 * Between the two, checks neither print nor count: for what is meant to fail.
 * The end says how many failed, and the text of the first.
 */
extern void unit_expect_begin(void);
extern long unit_expect_end(char *text, size_t size);

/* Prints "N passed, N failed"; the exit status. */
extern int	unit_done(void);

/* Text of the host's error, for messages. */
extern const char *unit_error(const mml_host *host);

/* ---- unit_net.c: a network over raw rows ---- */

typedef struct unit_net
{
	unit_host  *unit;
	mml_host   *host;
	mml_config	config;
	int			n_fields;
	mml_field  *fields;			/* [F], domain last */
	mml_layout *layout;
	mml_names	names;
	mml_rows   *rows;
	uint32_t	n_domains;		/* ids 0 .. n - 1 */
	uint32_t	n_without;		/* the first of them have no experts */
	int32_t    *domain_expert;
	uint32_t   *expert_domain;
	mml_data	data;
	mml_arena	arena;
	mml_params *params;
	mml_net		net;
	void	   *memory;			/* of the batch */
	size_t		memory_bytes;
	mml_batch	batch;
	uint32_t   *order;			/* rows grouped by domain */
	uint32_t   *counts;
	uint32_t   *spare;
	mml_table_space tables;
	float	   *overlap;
} unit_net;

/*
 * Fills in everything from config, fields (name, kind, table_rows, width,
 * project; the last is the domain), n_domains and n_without; room for
 * `capacity` rows.
 */
extern mml_status unit_net_create(unit_net *net, size_t capacity);
extern void unit_net_free(unit_net *net);

/* After the rows are pushed: groups them; then forward and backward in a mode with all gradients. */
extern mml_status unit_net_open_rows(unit_net *net);
extern mml_status unit_net_run(unit_net *net, const mml_pass *pass);

/* Clears all gradients; those of tables are kept like the dense ones. */
extern void unit_net_clear(unit_net *net);

/* Mean loss of the last run. */
extern double unit_net_loss(const unit_net *net);

/* What expert_diversity weighs, in the plainest way: sum over layers of the mean of |down_e^T down_e'|^2 over pairs. */
extern double unit_overlap(const mml_params *params, const mml_arena *arena);

/* ---- unit_data.c: rows with a planted signal, and the way from them to a model ---- */

/* Features besides the categorical `user` and `item`. */
#define UNIT_PRICE 1			/* numeric, sometimes NULL */
#define UNIT_TAGS 2				/* multi, sometimes NULL or empty */
#define UNIT_VECTOR 4			/* 3 numbers, projected, sometimes NULL */
#define UNIT_ALL_KINDS 7
#define UNIT_AGE 8				/* categorical by buckets of a number */
#define UNIT_HASH 16			/* users by hash into 16 buckets, not by vocabulary */
#define UNIT_MAX_FEATURES 6

struct unit_bytes;

/* Which rows there are: each is a function of the seed and its number alone. */
typedef struct unit_data
{
	uint64_t	seed;
	size_t		n_rows;
	uint32_t	n_users;
	uint32_t	n_items;
	uint32_t	n_domains;		/* "d0", "d1", ...; the last one gets one row of 50 */
	uint32_t	features;		/* UNIT_... */
	bool		is_one_class;	/* all labels 1 */
	bool		has_weights;	/* 0, 1/2, 1, ... */
	bool		is_weightless;	/* all weights are 0: with l2 0 nothing is learned */
	bool		has_times;
	bool		is_perverse;	/* validation rows of n_valid have the other label: learning makes it worse */
	size_t		n_valid;		/* the last rows validate, the others train; 0 = by share or time */
	uint64_t	draw;			/* other rows of the same truth for each number */
	uint32_t	first_user;		/* users are from this number on; so below */
	uint32_t	first_domain;
	const struct unit_bytes *previous;	/* warm start from this saved model, as version 3; NULL = none */
	const char *added;			/* the rows' one domain is added to that; NULL = none is */
} unit_data;

/* 600 rows, 30 users, 20 items, 3 domains, all kinds. */
extern void unit_data_init(unit_data *data);

/* A small network, few epochs, no dropout, all phases of recipe paper. */
extern void unit_config_init(mml_config *config);

/* Sets an option by name from text or a number in text ("8", "0.5"); false when that fails. */
extern bool unit_set(mml_config *config, const char *name, const char *value);

/* Many at once: "name=value name=value". */
extern void unit_set_all(mml_config *config, const char *options);

/*
 * Two nights of a model that starts warm.  The first one: users 0-29, domains
 * d0, d1, d2, of which d2 has too few rows for experts.  The second one: users
 * 10-39, domains d1, d2, d3, of which d3 has few rows.  l2 is 0.
 */
extern void unit_first_night(mml_config *config, unit_data *data);
extern void unit_second_night(unit_data *data, const struct unit_bytes *previous);

/* 160 rows of domain d9 and users 20-49, to be added to that model. */
extern void unit_new_domain(unit_data *data, const struct unit_bytes *previous);

/* specs: [UNIT_MAX_FEATURES]; how many there are. */
extern int	unit_specs(const unit_data *data, mml_field_spec *specs);

/* The name of a row's domain. */
extern void unit_domain_of(const unit_data *data, size_t row, char *name, size_t size);

/* The values of one row, without begin and end; then a whole row to train on, or to score. */
extern mml_status unit_put_values(mml_rows *rows, const unit_data *data, size_t row);
extern mml_status unit_push_training(mml_rows *rows, const unit_data *data, size_t row);
extern mml_status unit_push_scoring(mml_rows *rows, const unit_data *data, size_t row);

/* Rows to push to; those of a warm start know what they start from. */
extern mml_status unit_open_rows(mml_host *host, const mml_config *config, const unit_data *data, mml_rows **rows);

/* All rows, in an order that follows from `order` (0 = as they are), finished. */
extern mml_status unit_rows(mml_host *host, const mml_config *config, const unit_data *data, uint64_t order,
							mml_rows **rows);

/* Rows, training, and the rows' end. */
extern mml_status unit_train(mml_host *host, const mml_config *config, const unit_data *data, uint64_t order,
							 mml_model **model);

/* Saved bytes, in memory of malloc. */
typedef struct unit_bytes
{
	unsigned char *at;
	size_t		n;
	size_t		held;
	size_t		next;			/* of a reader */
} unit_bytes;

extern mml_status unit_save(mml_host *host, const mml_model *model, unit_bytes *bytes);
extern mml_status unit_load(mml_host *host, const unit_bytes *bytes, mml_model **model);

/* Trains, saves and frees; a failure is a failed check, and no bytes. */
extern void unit_train_and_save(unit_host *unit, const char *what, const mml_config *config, const unit_data *data,
								uint64_t order, unit_bytes *bytes);

/*
 * Everything in a row, and the end of all of it, whatever fails: rows,
 * training, saving, loading, and scoring the first rows in the served mode.
 */
extern mml_status unit_whole_way(mml_host *host, const mml_config *config, const unit_data *data);
extern bool unit_same_bytes(const unit_bytes *a, const unit_bytes *b);
extern void unit_bytes_free(unit_bytes *bytes);

/* ---- golden_file.c ---- */

/*
 * Checks one golden file (MODELS.md section 7): logits, loss and every gradient
 * in every mode.  Each is a counted check.  False when the file cannot be read.
 */
extern bool golden_check_file(const char *path);

/* ---- naive_golden.c ---- */

#define NAIVE_MAX_FIELDS 8
#define NAIVE_MAX_EXPERTS 12

/* A network for a plain re-implementation in double. */
typedef struct naive_spec
{
	const char *backbone;
	int			dim;
	int			n_layers;
	int			hidden[MML_MAX_LAYERS];
	int			lora_reduce;
	int			n_rows;
	int			n_domains;
	int			n_experts;		/* a multiple of them */
	int			n_fields;		/* without domain */
	struct
	{
		mml_kind	kind;
		int			size;		/* rows of its table, 1, or numbers of a vector */
		bool		project;
	}			fields[NAIVE_MAX_FIELDS];
	/* of the backbones that have them */
	int			cross_layers;
	int			attention_layers;
	int			attention_heads;
	int			attention_dim;
	int			n_cin;
	int			cin[MML_MAX_LAYERS];
	uint64_t	seed;
} naive_spec;

/*
 * Writes a golden file: values drawn, logits, loss and gradients by plain loops.
 * False when that fails, or when its numbers are no good for a test: where a
 * ReLU is so near its kink that a float may fall on the other side, or some
 * tensor has no gradient in any mode.  Then take another seed.
 */
extern bool naive_write_golden(const naive_spec *spec, const char *path);

#endif							/* UNIT_H */

/*
 * unit.h - the harness of the unit tests: a host on malloc, counted checks,
 * and a small network for tests that need one.
 */
#ifndef UNIT_H
#define UNIT_H

#include "mml_layers.h"

/* ---- unit.c ---- */

/* A host whose memory is malloc's.  Allocations fail from the `fails_at`-th on while that is not 0. */
typedef struct unit_host
{
	mml_host	host;
	long		n_allocations;
	long		fails_at;		/* 1 = the next one fails; 0 = never */
	long		n_held;			/* pieces not yet released */
	bool		stops;			/* poll says stop */
	long		n_polls;
	long		stops_at;		/* the n-th poll says stop; 0 = never */
	long		n_epochs;		/* reported, without signs of life */
} unit_host;

extern void unit_host_init(unit_host *unit);

/* Counts a check; prints the text when it fails. */
extern bool unit_check(bool is_ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* |a - b| <= tolerance * max(1, |b|) */
extern bool unit_close(double a, double b, double tolerance, const char *what);

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
	uint32_t	n_domains;		/* ids 0 .. n - 1, each with experts */
	int32_t    *domain_expert;
	uint32_t   *expert_domain;
	mml_data	data;
	mml_arena	arena;
	mml_params *params;
	mml_net		net;
	void	   *memory;
	mml_batch	batch;
	uint32_t   *order;			/* rows grouped by domain */
	uint32_t   *counts;
	uint32_t   *spare;
	mml_table_space tables;
} unit_net;

/*
 * Fills in everything from config, fields (name, kind, table_rows, width,
 * project; the last is the domain) and n_domains; room for `capacity` rows.
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

/* ---- golden_file.c ---- */

/*
 * Checks one golden file (MODELS.md section 7): logits, loss and every gradient
 * in every mode.  Each is a counted check.  False when the file cannot be read.
 */
extern bool golden_check_file(const char *path);

#endif							/* UNIT_H */

/*
 * mml_train.h - the core's rooms around training: what participants share, the
 * phases, the program of a recipe.  Private to trainer/ and its unit tests.
 *
 * Letters as in mml_layers.h.
 */
#ifndef MML_TRAIN_H
#define MML_TRAIN_H

#include "mml_layers.h"
#include "mml_run.h"

/* ---- run.c: what the participants of a training share, and what each has ---- */

/* Figures of one evaluation on validation rows; NaN = not defined. */
typedef struct mml_figures
{
	double		logloss;
	double		auc;
	double		wauc;
} mml_figures;

/* How one phase of one expert, or of all rows, went. */
typedef struct mml_outcome
{
	int32_t		epochs;
	int32_t		best_epoch;		/* 0 = the state before */
	int64_t		rows;
	double		seconds;		/* of training, without evaluation */
	double		train_logloss;	/* of the best epoch */
	mml_figures best;
} mml_outcome;

/* Where a phase stands between two epochs; all zero: it has not begun. */
typedef struct mml_cursor
{
	int32_t		is_begun;
	int32_t		is_over;
	int32_t		epoch;			/* epochs done */
	int32_t		n_ordered;		/* epochs whose order of rows can be seen in mml_member's shuffled */
	int32_t		rate;			/* index into phase.c's steps of the learning rate */
	int32_t		rate_since;		/* epoch before its first */
	int32_t		n_averaged;		/* states in the average */
	int64_t		t;				/* steps of the optimizer */
	mml_outcome outcome;
} mml_cursor;

/* What comes next in the program of train.c. */
typedef enum mml_step
{
	MML_STEP_WARM, MML_STEP_START, MML_STEP_EXPERTS, MML_STEP_GATE, MML_STEP_FINETUNE, MML_STEP_SERVE, MML_STEP_END
} mml_step;

/*
 * Where a training stands.  The leader of all writes it between barriers; all but
 * the count of rows is the same whoever takes part, and says with the tensors'
 * states all that is needed to go on.
 */
typedef struct mml_course
{
	int32_t		step;			/* mml_step, next or under way */
	int32_t		recipe;			/* mml_recipe of the start that is next or under way */
	int32_t		chosen;			/* mml_recipe of the best start so far */
	int32_t		has_chosen;		/* there is one: its state is kept */
	mml_figures start;			/* of that start */
	mml_figures warm;			/* of what a warm start begins with, in the mode it would be served in */
	mml_cursor	phase;			/* of the phase over all rows that is under way */
	int32_t		has_experts;	/* phase experts is under way */
	int32_t		is_grouped;		/* mml_member's shuffled is by domain */
	double		experts_seconds;	/* that it took so far */
	double		work_before;	/* mml_run's work_done when the step began */
	int32_t		pauses;			/* wanted: leave when all rows were trained on once more */
	uint64_t	rows_since;		/* trained on since the pause before, by all */
} mml_course;

/* What the leader of a team decides and the others read after the next barrier. */
typedef struct mml_control
{
	int32_t		status;			/* mml_status: other than MML_OK ends all */
	int32_t		is_better;
	int32_t		is_average;		/* what is better is the average */
	int32_t		is_slower;		/* the phase goes on from its best state in smaller steps */
	int32_t		is_over;		/* the phase is */
	int32_t		is_paused;		/* the phase is left now, to go on with later */
	int32_t		is_late;		/* max_seconds have passed */
	mml_figures figures;
	uint32_t	n_queued;		/* domains in the queue */
	uint32_t	first_alone;	/* place in the queue; domains before it are trained by all */
	uint32_t	next_domain;	/* place in the queue; taken by whoever is free */
	uint32_t	next_job;		/* the same of a step's jobs */
} mml_control;

/*
 * A training, as one process sees it: plain data, the same for all, and a few
 * pointers of its own.  What it refers to lies in the rows' arena, and so does
 * the image that the others make theirs of.
 */
struct mml_run
{
	mml_host   *host;
	mml_rows   *rows;			/* NULL: not the leader's process */
	mml_params *params;
	mml_arena  *arena;
	int			size;			/* most participants that the memory allows */
	uint64_t	bytes;			/* that they need all together */
	mml_config	config;
	mml_method	method;			/* as asked, or backbone where no domain has experts */
	mml_shape	shape;
	size_t		capacity;		/* rows of a batch's memory */
	uint32_t	modes;			/* that its passes use */
	size_t		n_train;
	size_t		n_valid;
	uint32_t	n_domain_ids;
	int32_t		n_fields;
	int			row_shift;		/* of the rows; so below */
	uint32_t	row_words;
	uint32_t	vector_words;
	bool		has_weights;
	int32_t		previous_version;	/* that a warm start goes on from; 0: none */
	uint32_t	new_domain;		/* id of the one that is added to that version; 0: all are trained */
	mml_mode	new_mode;		/* in which it and all others are served then */
	double		deadline;		/* 0: none */
	mml_ref		image;			/* mml_run */
	mml_ref		tensors;		/* mml_tensor [n_tensors] */
	mml_ref		row_pages;		/* mml_ref [n_row_pages]; so below */
	mml_ref		vector_pages;
	mml_ref		item_pages;
	size_t		n_row_pages;
	size_t		n_vector_pages;
	size_t		n_item_pages;
	mml_ref		layout;			/* mml_layout [F] */
	mml_ref		domain_expert;	/* int32 [n_domain_ids] */
	mml_ref		expert_domain;	/* uint32 [E / k] */
	mml_ref		order;			/* uint32 [n_train + n_valid] canonical; validation rows by domain */
	mml_ref		shuffled;		/* uint32 [n_train] */
	mml_ref		domain_start;	/* uint32 [n_domain_ids + 1]: of training rows, when grouped by domain */
	mml_ref		valid_start;	/* the same of validation rows */
	mml_ref		logits;			/* float [n_valid] */
	mml_ref		labels;			/* float [n_valid] */
	mml_ref		batch;			/* memory of a batch */
	mml_ref		control;		/* mml_control */
	mml_ref		course;			/* mml_course */
	mml_ref		cursors;		/* mml_cursor [E] of phase experts */
	mml_ref		queue;			/* uint32 [E / k] domains with experts, by number of their first expert / k */
	mml_ref		epoch_log;		/* mml_epoch [E, epochs + 1] of experts that others than the leader trained */
	/* what the program has found out: the leader's alone */
	mml_model_facts facts;
	mml_phase_summary phases[MML_MAX_RUNS];
	int32_t		n_phases;
	double		work_done;		/* rows x epochs, for the fraction */
	double		work_total;
};

/* One participant's side of the run. */
typedef struct mml_member
{
	mml_run    *run;
	mml_host   *host;
	mml_team	team;			/* {0, 1} while it trains an expert by itself */
	bool		is_leader;		/* of the whole team, even then */
	mml_data	data;
	mml_net		net;
	mml_batch	batch;			/* shared memory, or its own for experts */
	mml_batch	own_batch;
	void	   *own_memory;
	mml_control *control;
	mml_control own_control;
	mml_table_space tables;
	mml_metric_space metrics;
	float	   *overlap;		/* [mml_diversity_words()] */
	uint32_t   *counts;			/* [n_domain_ids + 1] */
	uint32_t   *spare;			/* [capacity] */
	const uint32_t *order;
	uint32_t   *shuffled;
	uint32_t   *domain_start;
	uint32_t   *valid_start;
	uint32_t   *queue;
	float	   *logits;
	float	   *labels;
	mml_course *course;
	mml_cursor *cursors;
	double		last_sign;		/* when it last reported from inside an epoch */
	float		average_share;		/* of the state that goes into the average */
} mml_member;

/* Bytes that one row of embedding and linear table takes in such a training, all states and the model's copy. */
extern uint64_t mml_category_bytes(const mml_config *config);

/* By every participant, with a host of its own; then all execute. */
extern mml_status mml_run_join(mml_run *run, mml_host *host, const mml_team *team, mml_member **member);
extern void mml_run_leave(mml_member *member);

/* ---- share.c: what the other participants need, in shared memory ---- */

/* Bytes of it that are not counted elsewhere. */
extern uint64_t mml_share_bytes(const mml_run *run);

/* Takes the memory, before the others come; and fills the image, once all refs are known. */
extern mml_status mml_share_tables(mml_run *run);
extern void mml_share_image(mml_run *run);

/* Where an expert's epoch is kept for the leader to report; NULL: there is no room. */
extern mml_epoch *mml_share_epoch(const mml_run *run, int expert, int epoch);

/* ---- phase.c: epochs over some rows ---- */

typedef struct mml_phase_plan
{
	mml_phase	phase;
	mml_mode	mode;
	int			expert;			/* -1 = none */
	uint32_t	domain;			/* of that expert: its id */
	uint32_t	groups;			/* what trains */
	double		learning_rate;
	uint32_t   *rows;			/* [n_rows] to train on; shuffled in place */
	size_t		n_rows;
	size_t		valid_first;	/* validation rows [first, + n) */
	size_t		n_valid;
	int			run_index;
} mml_phase_plan;

/* Runs the phase from where its cursor stands to its end, or to a pause: then it is not over. */
extern mml_status mml_phase_run(mml_member *member, const mml_phase_plan *plan, mml_cursor *cursor);

/* Whether a cursor can be one of a phase of at most so many epochs. */
extern bool mml_cursor_check(const mml_cursor *cursor, int32_t most_epochs);

/* Whether all rows were trained on once more since the pause before, and somebody wants one then. */
extern bool mml_pause_is_due(const mml_member *member);

/* All participants together: figures of all validation rows in a mode; logits stay in member->logits. */
extern mml_status mml_evaluate(mml_member *member, mml_mode mode, mml_figures *figures);

/* AUC of each domain id from the logits that are there: aucs: [n_domain_ids]. By the leader. */
extern mml_status mml_domain_aucs(mml_member *member, double *aucs);

/* What a state is chosen by: AUC, else less logloss; larger is better.  NaN figures: equal to all. */
extern double mml_figures_score(const mml_figures *figures);

extern void mml_barrier(const mml_member *member);

/* ---- states.c: copies between the states of tensors ---- */

typedef enum mml_copy
{
	MML_COPY_VALUE_TO_BEST, MML_COPY_BEST_TO_VALUE, MML_COPY_VALUE_TO_KEPT, MML_COPY_KEPT_TO_VALUE,
	MML_COPY_CLEAR_MOMENTS,
	MML_COPY_INTO_AVERAGE,		/* average += member->average_share (value - average) */
	MML_COPY_SWAP_AVERAGE		/* value and average change places */
} mml_copy;

/* The tensors of some groups; participants share the work in one way whatever is copied, no barrier inside. */
extern mml_status mml_copy_states(mml_member *member, uint32_t groups, mml_copy what);

/* One expert's parts, by this participant alone. */
extern void mml_copy_expert(mml_member *member, int expert, mml_copy what);

/* ---- expert_phase.c: all experts, each on the rows of its domain ---- */

/* To the end of the phase, or to a pause. */
extern mml_status mml_train_experts(mml_member *member);

/* ---- train.c: the program of a recipe ---- */

extern mml_status mml_run_execute(mml_member *member);

/* The phase over all rows that a course's step stands for, if it does, and what trains in it. */
extern bool mml_course_phase(const mml_course *course, mml_phase *phase, uint32_t *groups);

/* Whether a course can be one of the run's: steps, starts and the number of phases that are over. */
extern bool mml_course_check(const mml_run *run, const mml_course *course, int32_t n_phases);

/* Initial values, and over them those of the version before. */
extern mml_status mml_run_initialize(mml_member *member);

/* A phase over all training rows; then phase experts, and phase gate. */
extern mml_status mml_run_phase(mml_member *member, mml_phase phase, mml_mode mode, uint32_t groups);
extern mml_status mml_run_experts(mml_member *member);
extern mml_status mml_run_gate(mml_member *member);

/* Figures of every mode up to *last, the last that the method has, and the AUCs of the domains in it. */
extern mml_status mml_measure_modes(mml_member *member, mml_figures *figures, mml_mode *last);

/* By the leader: fills in run->facts. */
extern void mml_note_facts(mml_run *run, const mml_figures *figures, mml_mode served, mml_mode last);

/* ---- summary.c: what the phases did, by the leader ---- */

/* A phase over all rows, whose cursor is in the course, is over; phase experts is, with these figures of all rows. */
extern void mml_note_whole_phase(mml_member *member, mml_phase phase);
extern void mml_note_experts(mml_member *member, const mml_figures *figures);
extern void mml_add_note(mml_phase_summary *summary, const char *text);

/* What a phase, or all from number `first` on, has learned is not in the model. */
extern void mml_drop_phase(mml_run *run, int i);
extern void mml_drop_phases(mml_run *run, int first);

/* ---- add_domain.c: the program that adds a domain ---- */

extern mml_status mml_run_addition(mml_member *member);

/* The tables that learn then, NULL = all. */
extern const mml_field_tensors *mml_added_tables(const mml_member *member);

#endif							/* MML_TRAIN_H */

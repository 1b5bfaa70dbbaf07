/*
 * mml.h - the one door between the PostgreSQL glue and the numeric core.
 *
 * The core trains and scores multi-domain click-through-rate models: a shared
 * network, low-rank experts for each domain, and a gate that weighs them
 * (MoE-MLoRA, arXiv 2506.07563; MLoRA, arXiv 2408.08913).  It knows nothing of
 * PostgreSQL.  It never prints, exits, reads files, starts threads or keeps
 * globals; whatever it needs from outside comes through struct mml_host.
 *
 * Intended use, training:
 *   1. mml_config_init(), mml_config_set_...(), mml_config_check()
 *   2. mml_rows_create_training(), to go on from a model mml_rows_start_from();
 *      for each row mml_rows_begin(), one mml_put_... call per feature,
 *      mml_rows_end_training(); then mml_rows_finish()
 *   3. mml_train(); or, by several processes together, mml_run_create() and so on
 *   4. mml_model_save()
 * Intended use, scoring:
 *   1. mml_model_load(), mml_scorer_create()
 *   2. for each row mml_rows_begin(), mml_put_...(), mml_rows_end_scoring();
 *      then mml_score() for all rows pushed since the last one
 *
 * Letters: B rows of a batch, F fields (features in declared order, then
 * `domain` last), d embedding width, D domains, E experts, k experts a domain,
 * r rank of one expert, R the ranks of all experts side by side, L tower layers.
 *
 * Ownership: every object lives in memory of the host given at its creation
 * and is released by its ..._free().  The host may also release everything at
 * once (a memory context): no object needs its free to be called.
 */
#ifndef MML_H
#define MML_H

#include <stdbool.h>			/* for bool */
#include <stddef.h>				/* for size_t */
#include <stdint.h>				/* for uint32_t and friends */

/* ------------------------------------------------------------------ limits */

#define MML_MAX_LAYERS 16		/* tower layers, and layers of an interaction */
#define MML_MAX_WIDTH 65536		/* units of a layer, numbers of a vector */
#define MML_MAX_FEATURES 65535	/* features of a model */
#define MML_MAX_ITEMS 65536		/* elements of one multi value */
#define MML_MAX_NAME 1023		/* bytes of a feature's or domain's name */
#define MML_MAX_BUCKETS 1000000000	/* hash buckets of a feature */

/* ------------------------------------------------------------------ status */

typedef enum mml_status
{
	MML_OK = 0,
	MML_CANCELLED,				/* the host's poll asked to stop */
	MML_OUT_OF_MEMORY,			/* the host's allocator had none */
	MML_LIMIT,					/* larger than a limit allows; the text says both */
	MML_BAD_OPTION,				/* the configuration cannot be */
	MML_BAD_DATA,				/* a value or the rows as a whole cannot be used */
	MML_BAD_MODEL,				/* stored bytes are not a sound model */
	MML_UNKNOWN_DOMAIN,			/* unknown_domain = error, and it is */
	MML_DIVERGED				/* training produced NaN or infinity */
} mml_status;

/* The last problem, by PostgreSQL's message rules; "" where there is nothing to say. */
typedef struct mml_error
{
	char		message[256];	/* lower case, no period */
	char		detail[512];	/* sentences: the facts */
	char		hint[256];		/* sentences: what mends it */
} mml_error;

/* -------------------------------------------------------------------- host */

typedef struct mml_epoch mml_epoch;

/*
 * What the core needs from outside.  Any callback may leave by longjmp: the
 * core holds nothing but memory of `allocate`.  `poll` is called at least
 * every few milliseconds; true means stop (MML_CANCELLED).
 */
typedef struct mml_host
{
	void	   *self;			/* passed to every callback */
	void	   *(*allocate) (void *self, size_t bytes);	/* NULL: there is none */
	void		(*release) (void *self, void *memory);
	bool		(*poll) (void *self);
	double		(*seconds) (void *self);	/* a monotonic clock */
	void		(*report) (void *self, const mml_epoch *epoch);	/* may be NULL */
	void	   *(*share) (void *self, size_t bytes);	/* zeroed, for other processes too; may be NULL, and return it */
	void		(*unshare) (void *self, void *memory);
	size_t		memory_limit;	/* bytes; 0 = none */
	const char *limit_hint;		/* what mends a limit that is lower than the user has set; else NULL */
	size_t		memory_used;	/* bytes taken through this host and not released */
	size_t		memory_peak;	/* the most that these have been */
	mml_error	error;			/* set whenever a function returns a failure */
} mml_host;

/* ----------------------------------------------------------- configuration */

typedef enum mml_method
{
	MML_MOE_MLORA, MML_MLORA, MML_BACKBONE
} mml_method;

typedef enum mml_recipe
{
	MML_RECIPE_AUTO, MML_RECIPE_PAPER, MML_RECIPE_JOINT, MML_RECIPE_GATED
} mml_recipe;

typedef enum mml_gate
{
	MML_GATE_DOMAIN, MML_GATE_INPUT
} mml_gate;

/* How a row's experts are weighed (MODELS.md section 3). */
typedef enum mml_mode
{
	MML_MODE_BACKBONE,			/* no experts */
	MML_MODE_OWN,				/* 1/k for each expert of the row's own domain */
	MML_MODE_GATE,				/* the gate's softmax */
	MML_MODE_EXPERT				/* one given expert for all rows */
} mml_mode;

typedef enum mml_serve
{
	MML_SERVE_AUTO, MML_SERVE_BACKBONE, MML_SERVE_OWN, MML_SERVE_GATE
} mml_serve;

typedef enum mml_unknown_domain
{
	MML_UNKNOWN_BACKBONE, MML_UNKNOWN_MEAN, MML_UNKNOWN_ERROR
} mml_unknown_domain;

/*
 * Every option that the core knows.  Plain data without pointers: it is
 * stored with the model and copied between processes.  Field names are the
 * names of the options in SQL.
 */
typedef struct mml_config
{
	int32_t		backbone;		/* index into mml_backbone_name() */
	int32_t		method;			/* mml_method */
	int32_t		recipe;			/* mml_recipe */
	int32_t		gate;			/* mml_gate */
	int32_t		serve;			/* mml_serve */
	int32_t		unknown_domain; /* mml_unknown_domain */
	int32_t		embedding_dim;
	int32_t		n_hidden;
	int32_t		hidden[MML_MAX_LAYERS];
	int32_t		lora_reduce;
	int32_t		lora_rank;		/* 0: by lora_reduce */
	int32_t		experts_per_domain;
	int32_t		min_domain_rows;
	int32_t		epochs;			/* most per phase */
	int32_t		patience;
	int32_t		batch_size;
	int32_t		min_count;
	int32_t		finetune;		/* 0 or 1 */
	int32_t		cross_layers;
	int32_t		attention_layers;
	int32_t		attention_heads;
	int32_t		attention_dim;
	int32_t		n_cin;
	int32_t		cin[MML_MAX_LAYERS];
	double		dropout;		/* share dropped, 0 <= p < 1 */
	double		gate_own_share; /* 0: 0.95 in phase gate, 0.5 in phase gated */
	double		learning_rate;
	double		l2;
	double		expert_diversity;	/* weight of the overlap of experts' downs in the loss */
	double		gate_entropy;	/* above 0 spreads the gate, below 0 sharpens it */
	double		validation;		/* share */
	double		max_seconds;	/* 0: no limit */
	int64_t		seed;
} mml_config;

typedef enum mml_option_type
{
	MML_OPTION_INTEGER,			/* a whole number in [minimum, maximum] */
	MML_OPTION_REAL,			/* a number in [minimum, maximum] */
	MML_OPTION_BOOLEAN,
	MML_OPTION_CHOICE,			/* one of `choices` */
	MML_OPTION_INTEGERS			/* a list of 1 to MML_MAX_LAYERS whole numbers, each in range */
} mml_option_type;

/* One row of the table of options: what the glue needs to read and explain it. */
typedef struct mml_option
{
	const char *name;
	mml_option_type type;
	double		minimum;
	double		maximum;
	bool		maximum_excluded;	/* [minimum, maximum) */
	const char *const *choices; /* NULL-terminated, for MML_OPTION_CHOICE */
	size_t		offset;			/* private: where in mml_config */
	size_t		count_offset;	/* private: where a list's length is */
} mml_option;

/* All options; *n_options receives their number. */
extern const mml_option *mml_options(int *n_options);

/* Sets every option to its default. */
extern void mml_config_init(mml_config *config);

/*
 * Set one option.  `option` comes from mml_options().  A value that is out of
 * range, not whole or not a choice: MML_BAD_OPTION, with a message that names
 * the option and what it may be.
 * A real or boolean (0, 1) option takes one number, a choice takes text.
 */
extern mml_status mml_config_set_number(mml_host *host, mml_config *config, const mml_option *option, double value);
extern mml_status mml_config_set_text(mml_host *host, mml_config *config, const mml_option *option, const char *value);
extern mml_status mml_config_set_list(mml_host *host, mml_config *config, const mml_option *option, const double *values, int n_values);

/* Checks what single options cannot: combinations.  The first problem, as MML_BAD_OPTION. */
extern mml_status mml_config_check(mml_host *host, const mml_config *config);

/* An option's value as text, for a choice or a list too; buffer takes `size` bytes. */
extern void mml_config_get_text(const mml_config *config, const mml_option *option, char *buffer, size_t size);

/* ------------------------------------------------------------------ fields */

typedef enum mml_kind
{
	MML_CATEGORICAL, MML_NUMERIC, MML_MULTI, MML_VECTOR
} mml_kind;

/* What one feature is.  The text and the array are copied by whoever takes it. */
typedef struct mml_field_spec
{
	const char *name;
	mml_kind	kind;
	uint32_t	hash_buckets;	/* categorical, multi: ids by hash into so many buckets; 0 = by vocabulary */
	bool		log1p;			/* numeric: x -> sign(x) ln(1 + |x|), before buckets and standardising */
	bool		standardize;	/* numeric: (x - mean) / std */
	bool		project;		/* vector: through projection.<name>; false: as it is, width must be embedding_dim */
	uint32_t	width;			/* vector: numbers; 0 = that of the first value seen */
	const double *boundaries;	/* categorical made from numbers: ascending; value x -> number of boundaries <= x */
	int			n_boundaries;
} mml_field_spec;

/* -------------------------------------------------------------------- rows */

/*
 * A set of encoded rows.  For training it grows without end and learns
 * vocabularies; a scorer's holds one block of rows and looks values up.
 */
typedef struct mml_rows mml_rows;

/* Rows to train on.  `specs`: [n_specs], the features in declared order, without domain. */
extern mml_status mml_rows_create_training(mml_host *host, const mml_config *config,
										   const mml_field_spec *specs, int n_specs, mml_rows **rows);
extern void mml_rows_free(mml_rows *rows);

/*
 * One row: begin, then exactly one put (or items_begin .. items_end) for each
 * feature 0 .. n_specs-1 in any order, then end.  After a failure the row is
 * gone and the set is as before its begin.
 *
 * A categorical value is the same value whether it comes as integer or as the
 * text of that integer.  Numeric values may come as integer or real.
 * MML_BAD_DATA: NaN or infinity, a vector of another width, an element of a
 * vector that is NULL (the glue tells), a value of a kind the feature is not;
 * the message says what, the glue adds row and column.
 */
extern mml_status mml_rows_begin(mml_rows *rows);
extern mml_status mml_put_null(mml_rows *rows, int field);
extern mml_status mml_put_integer(mml_rows *rows, int field, int64_t value);
extern mml_status mml_put_real(mml_rows *rows, int field, double value);
extern mml_status mml_put_text(mml_rows *rows, int field, const char *text, size_t length);
extern mml_status mml_put_items_begin(mml_rows *rows, int field);
extern mml_status mml_put_item_integer(mml_rows *rows, int field, int64_t value);
extern mml_status mml_put_item_text(mml_rows *rows, int field, const char *text, size_t length);
extern mml_status mml_put_items_end(mml_rows *rows, int field);
extern mml_status mml_put_vector(mml_rows *rows, int field, const float *values, size_t width);

typedef enum mml_split
{
	MML_SPLIT_AUTO,				/* by share, or by `time` where any row has one */
	MML_SPLIT_TRAIN,
	MML_SPLIT_VALID
} mml_split;

/*
 * label in [0,1] (else MML_BAD_DATA); weight finite and >= 0; time: only its
 * order counts, has_time must be the same for all rows.
 */
typedef struct mml_row_facts
{
	double		label;
	double		weight;			/* 1 where there is no weight_column */
	double		time;
	bool		has_time;
	mml_split	split;
	const char *domain;			/* not NULL */
	size_t		domain_length;
} mml_row_facts;

extern mml_status mml_rows_end_training(mml_rows *rows, const mml_row_facts *facts);

/* `domain` unknown to the model: as its option unknown_domain says. */
extern mml_status mml_rows_end_scoring(mml_rows *rows, const char *domain, size_t domain_length);

/* The same for a row that is of no known domain, whatever the option says. */
extern void mml_rows_end_without_domain(mml_rows *rows);

/* Rows held now; and whether another one fits (always, for training). */
extern size_t mml_rows_count(const mml_rows *rows);
extern bool mml_rows_full(const mml_rows *rows);

/* Forgets all rows of a scorer's set (vocabularies stay). */
extern void mml_rows_reset(mml_rows *rows);

/* After the last row: canonical order and ids, split, standardising. Polls. MML_BAD_DATA: no rows. */
extern mml_status mml_rows_finish(mml_rows *rows);

/*
 * Of a finished set to train on: whether row number `row`, from 0 in the order
 * pushed, validates.  Then *label and *domain receive its own; the domain as an
 * index into mml_model_domain() of the model that comes of the set.
 */
extern bool mml_rows_validates(const mml_rows *rows, size_t row, float *label, int *domain);

/* Bytes that the set takes now. */
extern size_t mml_rows_bytes(const mml_rows *rows);

/*
 * A set to train on that is not finished, as bytes for another process of the
 * same build; and all rows of such bytes into a set, which is made when *rows is
 * NULL.  MML_BAD_DATA: its features are others.  Of what was read before a
 * failure some may be in the set.
 */
typedef struct mml_writer mml_writer;
typedef struct mml_reader mml_reader;
extern mml_status mml_rows_write(const mml_rows *rows, const mml_writer *writer);
extern mml_status mml_rows_read(mml_host *host, const mml_config *config, const mml_reader *reader, mml_rows **rows);

/*
 * After a failure of one of the above with rows to train on: where it is the
 * limit on memory, and a feature has so many values that it matters, the
 * host's error says so.  (That of mml_train() does by itself.)
 */
extern void mml_rows_explain(mml_rows *rows, mml_status status);

/* ---------------------------------------------------------------- training */

typedef enum mml_phase
{
	MML_PHASE_BACKBONE, MML_PHASE_JOINT, MML_PHASE_GATED, MML_PHASE_EXPERTS,
	MML_PHASE_GATE, MML_PHASE_FINETUNE, MML_PHASE_DOMAIN
} mml_phase;

extern const char *mml_phase_name(mml_phase phase);
extern const char *mml_mode_name(mml_mode mode);

/* One epoch (0 = the state before the phase), for progress and the epochs view. NaN = not defined. */
struct mml_epoch
{
	int			run;			/* phase runs in order, from 0: index into mml_model_phase() */
	mml_phase	phase;
	int			expert;			/* of phase experts, else -1 */
	int			n_experts;
	int			domain;			/* of that expert: index into mml_model_domain(), else -1 */
	const char *domain_name;	/* NULL where there is none */
	int			epoch;
	int			n_epochs;		/* the most there can be */
	int			rate_divisor;	/* of the phase's learning rate: 1, larger once it stopped getting better */
	int64_t		rows;			/* trained in this epoch */
	int64_t		step;			/* batches done in this epoch; < n_steps while it runs */
	int64_t		n_steps;
	double		fraction;		/* of the whole training, at worst; 0..1, never falls */
	double		seconds;
	double		train_logloss;
	double		valid_logloss;	/* of the better of the epoch's last state and the average; so below */
	double		valid_auc;
	bool		is_best;		/* of its phase so far */
	bool		is_running;		/* a sign of life inside an epoch, at most a few a second, not a row of the view */
};

/* What a phase did. */
typedef struct mml_phase_summary
{
	int32_t		phase;			/* mml_phase */
	int32_t		epochs;			/* run, of all experts */
	int64_t		rows;			/* trained rows a pass: all experts' rows for phase experts */
	double		seconds;
	double		rows_per_second;	/* rows x epochs / training seconds */
	double		train_logloss;	/* of the chosen state's epoch (experts: weighted by rows); NaN: chosen before any */
	double		valid_logloss;	/* of the chosen state, in the phase's mode, all validation rows */
	double		valid_auc;
	double		valid_wauc;
	int32_t		is_used;		/* 0: reported with the note "not used" */
	char		note[256];		/* "" or what a person should know */
} mml_phase_summary;

typedef struct mml_model mml_model;

/*
 * Warm start: training on these rows goes on from `previous` instead of from
 * fresh values.  Call it before the first row.  `previous` must be of the same
 * host; the rows own it from now on, whatever the answer.  `version`, from 1, is
 * what messages and the first phase's note call it.
 *
 * Values of categories, domains and experts of `previous` stay, whether or not
 * they occur in the rows; new ones are added.  A new category starts as in any
 * training, a new domain's embedding at the mean of the known ones, a new expert
 * as one that does nothing; in the gate of a known domain the new expert has the
 * smallest logit.  Numeric features keep their mean and deviation, unless they
 * had none.  Every start of recipe auto begins with these values, every phase
 * with fresh moments; and what training begins with is a candidate in the end,
 * so the model is not worse than that on the validation rows.
 *
 * MML_BAD_OPTION: features or sizes are not those of `previous`; the message
 * says which.  Experts and gate may come and go with the method.
 */
extern mml_status mml_rows_start_from(mml_rows *rows, mml_model *previous, int32_t version);

/*
 * Trains on finished rows and returns the model.  Takes what it needs out of
 * `rows`: they can only be freed afterwards.  Polls and reports all the time.
 * MML_LIMIT: memory needed and allowed.  MML_BAD_DATA: no training rows.
 */
extern mml_status mml_train(mml_host *host, mml_rows *rows, const mml_config *config, mml_model **model);

/* By several processes, and with pauses: mml_run.h. */

/* ------------------------------------------------------------------- model */

extern void mml_model_free(mml_model *model);
extern const mml_config *mml_model_config(const mml_model *model);
extern size_t mml_model_bytes(const mml_model *model);	/* in memory */

/* Features, without domain. The spec's pointers stay the model's. */
extern int	mml_model_features(const mml_model *model);
extern void mml_model_feature(const mml_model *model, int feature, mml_field_spec *spec);

/* Ids of a categorical or multi feature, the two reserved ones included; 1 for the others. */
extern uint32_t mml_model_feature_size(const mml_model *model, int feature);

/* Mean and standard deviation that a numeric feature is standardised by; deviation 0: it did not vary. */
extern void mml_model_feature_scale(const mml_model *model, int feature, double *mean, double *deviation);

extern int	mml_model_phases(const mml_model *model);
extern const mml_phase_summary *mml_model_phase(const mml_model *model, int run);

/* A domain of the training rows; index 0 .. mml_model_domains()-1, sorted by name. NaN = not defined. */
typedef struct mml_domain
{
	const char *name;			/* zero-terminated */
	int64_t		rows;			/* training and validation rows */
	int64_t		positives;		/* of them */
	int64_t		valid_rows;
	int32_t		first_expert;	/* -1: none, served by the backbone */
	double		backbone_auc;	/* on the validation rows, by mode, final model */
	double		own_auc;
	double		gate_auc;
} mml_domain;

extern int	mml_model_domains(const mml_model *model);
extern const mml_domain *mml_model_domain(const mml_model *model, int domain);

/* Whole-model figures. valid_...: the served mode on all validation rows. */
typedef struct mml_model_facts
{
	mml_mode	served;
	int			n_experts;
	bool		has_own;		/* the method has mode own */
	bool		has_gate;		/* and mode gate */
	int64_t		rows;			/* training and validation */
	int64_t		train_rows;
	int64_t		valid_rows;
	int64_t		parameters;
	double		valid_auc;
	double		valid_wauc;
	double		valid_logloss;
} mml_model_facts;

extern void mml_model_get_facts(const mml_model *model, mml_model_facts *facts);

/* The domain (index) that an expert, 0 .. n_experts - 1, is of. */
extern int	mml_model_expert_domain(const mml_model *model, int expert);

/*
 * Named tensors, as MODELS.md section 4 names them.  A view: element (i, j) is
 * values[i * stride + j].  A tensor of all experts side by side can be had as a
 * whole and by expert.  False when there is no such tensor.
 */
typedef struct mml_tensor_view
{
	float	   *values;
	size_t		rows;
	size_t		cols;
	size_t		stride;
} mml_tensor_view;

extern bool mml_model_tensor(const mml_model *model, const char *name, mml_tensor_view *view);

/* The tensors as they lie in memory and in stored bytes: those of all experts side by side, under one name. */
typedef struct mml_tensor_facts
{
	char		name[MML_MAX_NAME + 49];
	uint64_t	rows;
	uint64_t	cols;
} mml_tensor_facts;

extern int	mml_model_tensors(const mml_model *model);
extern void mml_model_get_tensor(const mml_model *model, int tensor, mml_tensor_facts *facts);

/* ------------------------------------------------------------ stored bytes */

/* Exact number of bytes that mml_model_save() will write. */
extern uint64_t mml_model_saved_bytes(const mml_model *model);

/* Gives the model's bytes in order, in pieces of any size. */
struct mml_writer
{
	void	   *self;
	mml_status	(*write) (void *self, const void *bytes, size_t n);
};

extern mml_status mml_model_save(mml_host *host, const mml_model *model, const mml_writer *writer);

/* Fetches the next n bytes, or fails; `total` bytes can be had altogether. */
struct mml_reader
{
	void	   *self;
	uint64_t	total;
	mml_status	(*read) (void *self, void *bytes, size_t n);
};

/*
 * Reads a model.  The bytes are not trusted: magic, version, sizes, checksums
 * and every index are verified; anything wrong is MML_BAD_MODEL.
 */
extern mml_status mml_model_load(mml_host *host, const mml_reader *reader, mml_model **model);

/* The format that mml_model_save() writes. */
extern int	mml_format_version(void);

/* Reads n bytes at any place, or fails; `total` bytes can be had altogether. */
typedef struct mml_glimpse
{
	void	   *self;
	uint64_t	total;
	mml_status	(*read) (void *self, uint64_t at, void *bytes, size_t n);
} mml_glimpse;

#define MML_DIGEST_BYTES 16
#define MML_DIGEST_HEADS 8		/* of the file, of each section */
#define MML_DIGEST_HEAD 24		/* bytes of one */

/*
 * What tells stored models apart without reading them: the heads of file and
 * sections, and so all lengths and checksums.  Against accidents, not against
 * forgers.
 */
typedef struct mml_digest
{
	unsigned char key[MML_DIGEST_BYTES];	/* of all below */
	uint64_t	total;			/* bytes of the model */
	uint64_t	at[MML_DIGEST_HEADS];	/* where the heads are */
	unsigned char heads[MML_DIGEST_HEADS][MML_DIGEST_HEAD];
} mml_digest;

/* MML_BAD_MODEL when the heads cannot be those of a model: mml_model_load() then fails too, and says why. */
extern mml_status mml_model_digest(const mml_glimpse *glimpse, mml_digest *digest);

/* Whether n bytes have this digest. */
extern bool mml_digest_is_of(const mml_digest *digest, const void *bytes, size_t n);

/* ----------------------------------------------------------------- scoring */

/*
 * Scores rows with one model.  Builds the folded tower of a domain when it is
 * first asked for it (MODELS.md section 6); keeps at most `fold_limit` bytes of
 * them (at least one), the least recently used going first.
 */
typedef struct mml_scorer mml_scorer;

/* mode: how to weigh the experts; MML_MODE_EXPERT is not allowed. `model` must outlive the scorer. */
extern mml_status mml_scorer_create(mml_host *host, const mml_model *model, mml_mode mode,
									size_t capacity, size_t fold_limit, mml_scorer **scorer);

/*
 * The same with the capacity that makes it fast: some hundred rows, and
 * MML_SCORER_ROWS where each domain has weights of its own.  Rows and what the
 * network makes of them take at most about `bytes`; where they are very wide,
 * there are fewer.
 */
#define MML_SCORER_ROWS 4096
extern mml_status mml_scorer_create_blocks(mml_host *host, const mml_model *model, mml_mode mode,
										   size_t bytes, size_t fold_limit, mml_scorer **scorer);
extern void mml_scorer_free(mml_scorer *scorer);

/* The set to push rows into: begin, puts, mml_rows_end_scoring(). At most `capacity` rows. */
extern mml_rows *mml_scorer_rows(mml_scorer *scorer);

/*
 * probabilities: [rows held], in the order pushed. Then the set is reset.  MML_BAD_DATA when one is NaN: numbers
 * far beyond those of training can overflow on their way.  Polls; a longjmp from there leaves the rows: reset the set.
 */
extern mml_status mml_score(mml_scorer *scorer, float *probabilities);

/* The same as logits. */
extern mml_status mml_score_logits(mml_scorer *scorer, float *logits);

/* embedding: [d] of one feature (domain: mml_model_features()) of the one row held.  Then the set is reset. */
extern mml_status mml_scorer_embedding(mml_scorer *scorer, int field, float *embedding);

/*
 * What the logit of the one row held is made of; then the set is reset.  start:
 * the logit with no feature known; effects: [features], what it loses when only
 * that feature becomes unknown (categorical) or NULL; weights: [E] of the
 * experts.  MML_BAD_DATA as with mml_score().
 */
extern mml_status mml_scorer_explain(mml_scorer *scorer, double *start, double *effects, float *weights);

/* Bytes that the scorer takes now, without the model. */
extern size_t mml_scorer_bytes(const mml_scorer *scorer);

/* The rows that it takes at once. */
extern size_t mml_scorer_capacity(const mml_scorer *scorer);

/* ---------------------------------------------------------------- backbones */

extern int	mml_backbones(void);	/* how many there are */
extern const char *mml_backbone_name(int backbone);

/*
 * Once per process, before anything else: one BLAS thread, and the memory that
 * it keeps.  See before that so many bytes can be had: where they cannot,
 * OpenBLAS asks for them without end.
 */
#define MML_BLAS_MEMORY ((size_t) 256 << 20)
extern void mml_init(void);

#include "mml_programs.h"		/* what training can do besides */
#include "mml_analysis.h"		/* the part of the door for looking into models */

#endif							/* MML_H */

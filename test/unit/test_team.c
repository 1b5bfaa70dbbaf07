/*
 * test_team.c - one training by several participants: threads that meet at a
 * barrier, each with a host of its own and its own mapping of the shared
 * memory, as processes have.  Whatever their number, and whether they pause and
 * go on in another number, the model is bitwise the same, and so are all figures
 * about it and the epochs that are reported.
 */
#define _GNU_SOURCE				/* for RTLD_NEXT, memfd_create */
#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

#define MAX_PARTICIPANTS 9		/* more than slices */
#define MAX_EPOCHS 512

/* -------------------------------------------------------------------- BLAS */

/*
 * OpenBLAS's serial build hands one work buffer to all callers: right for
 * processes, wrong for threads.  So here its products take turns.
 */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void
cblas_sgemm(CBLAS_LAYOUT order, CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b,
			blasint m, blasint n, blasint k, float alpha, const float *a, blasint lda,
			const float *b, blasint ldb, float beta, float *c, blasint ldc)
{
	static __typeof__(cblas_sgemm) *original;

	pthread_mutex_lock(&turn);
	if (original == NULL)
		original = (__typeof__(cblas_sgemm) *) dlsym(RTLD_NEXT, "cblas_sgemm");
	original(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
	pthread_mutex_unlock(&turn);
}

void
cblas_sgemv(CBLAS_LAYOUT order, CBLAS_TRANSPOSE transpose, blasint m, blasint n, float alpha,
			const float *a, blasint lda, const float *x, blasint step_x, float beta, float *y, blasint step_y)
{
	static __typeof__(cblas_sgemv) *original;

	pthread_mutex_lock(&turn);
	if (original == NULL)
		original = (__typeof__(cblas_sgemv) *) dlsym(RTLD_NEXT, "cblas_sgemv");
	original(order, transpose, m, n, alpha, a, lda, x, step_x, beta, y, step_y);
	pthread_mutex_unlock(&turn);
}

/* ------------------------------------------------------------ shared memory */

#define MAX_PIECES 256

/* What the leader's host shares: files without names. */
typedef struct piece
{
	char	   *memory;			/* NULL: given back */
	size_t		bytes;
	int			file;
} piece;

static piece pieces[MAX_PIECES];
static int	n_pieces;
static int	pieces_allowed;

static void *
map_piece(const piece *of)
{
	return mmap(NULL, of->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, of->file, 0);
}

static void *
share_piece(void *self, size_t bytes)
{
	piece	   *made = &pieces[n_pieces];

	(void) self;
	if (n_pieces == pieces_allowed)
		return NULL;
	made->file = memfd_create("unit", 0);
	made->bytes = bytes;
	if (made->file < 0 || ftruncate(made->file, (off_t) bytes) != 0)
		return NULL;
	made->memory = map_piece(made);
	n_pieces++;
	return made->memory;
}

static void
unshare_piece(void *self, void *memory)
{
	(void) self;
	for (int i = 0; i < n_pieces; i++)
		if (pieces[i].memory == memory)
		{
			munmap(memory, pieces[i].bytes);
			close(pieces[i].file);
			pieces[i].memory = NULL;
			return;
		}
	unit_check(false, "memory is given back that was never shared");
}

static int
pieces_held(void)
{
	int			n = 0;

	for (int i = 0; i < n_pieces; i++)
		n += pieces[i].memory != NULL;
	return n;
}

/* The piece that an address of the leader's lies in. */
static const piece *
piece_of(const void *address)
{
	for (int i = 0; i < n_pieces; i++)
		if (pieces[i].memory != NULL && (const char *) address >= pieces[i].memory &&
			(const char *) address < pieces[i].memory + pieces[i].bytes)
			return &pieces[i];
	return NULL;
}

/* ----------------------------------------------------------------- threads */

typedef struct participant
{
	mml_run    *run;			/* the leader's */
	unit_host	unit;
	mml_team	team;
	mml_status	status;
} participant;

/* The leader's run from other addresses: mapped[] is where its pieces are seen. */
static mml_status
attach(const mml_run *leader, mml_host *host, char **mapped, mml_run **run)
{
	void	   *seen[MAX_PIECES];
	void	   *const *blocks;
	const void *image;
	int			n = mml_run_blocks(leader, &blocks, &image);

	for (int i = 0; i < n_pieces; i++)
		mapped[i] = pieces[i].memory == NULL ? NULL : map_piece(&pieces[i]);
	for (int i = 0; i < n; i++)
	{
		const piece *of = piece_of(blocks[i]);

		seen[i] = mapped[of - pieces] + ((char *) blocks[i] - of->memory);
	}
	return mml_run_attach(host, seen, n, mapped[piece_of(image) - pieces] + ((const char *) image - piece_of(image)->memory),
						  run);
}

static void
detach(char **mapped)
{
	for (int i = 0; i < n_pieces; i++)
		if (mapped[i] != NULL)
			munmap(mapped[i], pieces[i].bytes);
}

static void
meet(void *self)
{
	(void) pthread_barrier_wait(self);
}

static void *
participate(void *self)
{
	participant *one = self;
	char	   *mapped[MAX_PIECES] = {NULL};
	mml_run    *run = one->run;

	one->status = one->team.rank == 0 ? MML_OK : attach(one->run, &one->unit.host, mapped, &run);
	if (one->status == MML_OK)
		one->status = mml_run_take_part(run, &one->unit.host, &one->team);
	if (one->team.rank != 0)
	{
		mml_run_free(run);
		detach(mapped);
	}
	return NULL;
}

/* To the end of the run, or to a pause. */
static void
take_part_together(unit_host *leader, mml_run *run, int size)
{
	static participant all[MAX_PARTICIPANTS];
	pthread_t	threads[MAX_PARTICIPANTS];
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, (unsigned) size);
	for (int i = 0; i < size; i++)
	{
		unit_host_init(&all[i].unit);
		all[i].unit.host.report = i == 0 ? leader->host.report : NULL;
		all[i].run = run;
		all[i].team = (mml_team) {.rank = i,.size = size,.barrier = meet,.self = &barrier};
		pthread_create(&threads[i], NULL, participate, &all[i]);
	}
	for (int i = 0; i < size; i++)
	{
		pthread_join(threads[i], NULL);
		unit_check(all[i].status == MML_OK, "participant %d of %d: %s", i, size, unit_error(&all[i].unit.host));
		unit_check(all[i].unit.n_held == 0, "participant %d of %d keeps %ld pieces", i, size, all[i].unit.n_held);
	}
	pthread_barrier_destroy(&barrier);
}

static int	n_pauses;			/* of the training before; < 0: it must not pause */

/* Trains with `size` participants, or with up to so many after each pause; the leader's host holds everything that is shared. */
static mml_status
train_together(unit_host *leader, mml_rows *rows, const mml_config *config, int size, mml_model **model)
{
	mml_run    *run;
	mml_status	status;
	int			possible = size;

	MML_TRY(mml_run_create(&leader->host, rows, config, &possible, &run));
	unit_check(possible == size, "%d participants instead of %d", possible, size);
	if (n_pauses >= 0)
		mml_run_set_pauses(run);
	take_part_together(leader, run, size);
	while (n_pauses >= 0 && !mml_run_is_done(run) && n_pauses < MAX_EPOCHS)
		take_part_together(leader, run, 1 + ++n_pauses % size);
	unit_check(mml_run_is_done(run), "training by %d is not done", size);
	status = mml_run_finish(run, model);
	mml_run_free(run);
	return status;
}

/* ------------------------------------------------------------------ epochs */

/* What was reported of an epoch, without its time. */
typedef struct told_epoch
{
	int			run;
	int			phase;
	int			expert;
	int			epoch;
	int			is_best;
	double		train_logloss;
	double		valid_auc;
	char		domain[16];
} told_epoch;

static told_epoch told[MAX_EPOCHS];
static int	n_told;

static void
note_epoch(void *self, const mml_epoch *epoch)
{
	told_epoch *one = &told[n_told];

	(void) self;
	if (epoch->is_running || n_told == MAX_EPOCHS)
		return;
	memset(one, 0, sizeof(*one));
	one->run = epoch->run;
	one->phase = (int) epoch->phase;
	one->expert = epoch->expert;
	one->epoch = epoch->epoch;
	one->is_best = epoch->is_best;
	one->train_logloss = epoch->train_logloss;
	one->valid_auc = epoch->valid_auc;
	if (epoch->domain_name != NULL)
		snprintf(one->domain, sizeof(one->domain), "%s", epoch->domain_name);
	n_told++;
}

/* By run, expert and epoch: who trains which expert is chance. */
static int
compare_told(const void *a, const void *b)
{
	const told_epoch *x = a;
	const told_epoch *y = b;

	if (x->run != y->run)
		return x->run - y->run;
	return x->expert != y->expert ? x->expert - y->expert : x->epoch - y->epoch;
}

/* ----------------------------------------------------------------- answers */

/* All that can be asked of a model but its time. */
typedef struct answers
{
	unit_bytes	bytes;
	mml_model_facts facts;
	int			n_phases;
	mml_phase_summary phases[MML_MAX_RUNS];
	mml_domain	domains[16];
	told_epoch	epochs[MAX_EPOCHS];
	int			n_epochs;
} answers;

static void
ask(unit_host *unit, const mml_model *model, answers *of)
{
	memset(of, 0, sizeof(*of));
	unit_check(unit_save(&unit->host, model, &of->bytes) == MML_OK, "save: %s", unit_error(&unit->host));
	mml_model_get_facts(model, &of->facts);
	of->n_phases = mml_model_phases(model);
	for (int i = 0; i < of->n_phases; i++)
	{
		of->phases[i] = *mml_model_phase(model, i);
		of->phases[i].seconds = of->phases[i].rows_per_second = 0.0;
	}
	for (int d = 0; d < mml_model_domains(model) && d < 16; d++)
	{
		of->domains[d] = *mml_model_domain(model, d);
		of->domains[d].name = NULL;
	}
	qsort(told, (size_t) n_told, sizeof(told[0]), compare_told);
	memcpy(of->epochs, told, sizeof(told));
	of->n_epochs = n_told;
}

static void
train_and_ask(const mml_config *config, const unit_data *data, int size, uint64_t order, answers *of)
{
	unit_host	unit;
	mml_rows   *rows;
	mml_model  *model = NULL;

	unit_host_init(&unit);
	unit.host.share = share_piece;
	unit.host.unshare = unshare_piece;
	unit.host.report = note_epoch;
	n_pieces = 0;
	pieces_allowed = MAX_PIECES;
	n_told = 0;
	memset(told, 0, sizeof(told));
	memset(of, 0, sizeof(*of));
	if (!unit_check(unit_rows(&unit.host, config, data, order, &rows) == MML_OK, "rows: %s", unit_error(&unit.host)))
		return;
	if (unit_check((size == 0 ? mml_train(&unit.host, rows, config, &model) :
					train_together(&unit, rows, config, size, &model)) == MML_OK, "train: %s", unit_error(&unit.host)))
		ask(&unit, model, of);
	mml_rows_free(rows);
	mml_model_free(model);
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	unit_check(pieces_held() == 0, "%d pieces of shared memory are kept", pieces_held());
	unit_check(size < 2 || n_pieces > 0, "nothing is shared by %d", size);
}

static int64_t rows_before;		/* of a model that gets a domain more */

/* 0 stands for mml_train(), which trains alone. */
static void
check_sizes(const char *what, const mml_config *config, const unit_data *data)
{
	static const int sizes[] = {1, 2, 3, MAX_PARTICIPANTS};
	static answers alone;
	static answers together;

	n_pauses = -1;
	train_and_ask(config, data, 0, 1, &alone);
	unit_check(alone.facts.train_rows + alone.facts.valid_rows == rows_before + (int64_t) data->n_rows, "%s: rows", what);
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		n_pauses = i % 2 ? 0 : -1;
		train_and_ask(config, data, sizes[i / 2], 1 + i, &together);
		unit_check(i % 2 == 0 || n_pauses > 0 || rows_before > 0, "%s: %d pauses", what, n_pauses);
		unit_check(unit_same_bytes(&alone.bytes, &together.bytes), "%s: saved bytes of %d participants", what,
				   sizes[i / 2]);
		unit_check(memcmp(&alone.facts, &together.facts, sizeof(alone.facts)) == 0, "%s: facts of %d", what, sizes[i / 2]);
		unit_check(alone.n_phases == together.n_phases &&
				   memcmp(alone.phases, together.phases,
						  sizeof(alone.phases)) == 0, "%s: phases of %d", what, sizes[i / 2]);
		unit_check(memcmp(alone.domains, together.domains, sizeof(alone.domains)) == 0, "%s: domains of %d", what,
				   sizes[i / 2]);
		unit_check(alone.n_epochs == together.n_epochs && alone.n_epochs < MAX_EPOCHS &&
				   memcmp(alone.epochs, together.epochs, sizeof(alone.epochs)) == 0, "%s: epochs of %d", what, sizes[i / 2]);
		unit_bytes_free(&together.bytes);
	}
	unit_bytes_free(&alone.bytes);
}

/* One participant lays the values of the version before out for all. */
static void
check_warm_start(void)
{
	mml_config	config;
	unit_data	data;
	static answers before;

	unit_config_init(&config);
	unit_data_init(&data);
	config.recipe = MML_RECIPE_AUTO;
	train_and_ask(&config, &data, 0, 1, &before);
	unit_second_night(&data, &before.bytes);
	config.min_domain_rows = 20;
	check_sizes("warm start", &config, &data);
	unit_bytes_free(&before.bytes);
}

/* Nor does it matter who trains the experts of a domain that is added. */
static void
check_new_domain(void)
{
	mml_config	config;
	unit_data	data;
	static answers before;

	unit_first_night(&config, &data);
	config.serve = MML_SERVE_GATE;
	config.experts_per_domain = 2;
	train_and_ask(&config, &data, 0, 1, &before);
	rows_before = before.facts.rows;
	unit_new_domain(&data, &before.bytes);
	config.dropout = 0.3;
	check_sizes("a domain more", &config, &data);
	rows_before = 0;
	unit_bytes_free(&before.bytes);
}

/* Where there is not enough memory to share, the leader is told to train alone, and can. */
static void
check_without_sharing(void)
{
	mml_config	config;
	unit_data	data;
	mml_model  *model = NULL;

	unit_config_init(&config);
	unit_data_init(&data);
	config.epochs = 1;
	for (int allowed = 0; allowed < 3; allowed++)
	{
		unit_host	unit;
		mml_rows   *rows;
		mml_run    *run;
		int			size = 3;

		unit_host_init(&unit);
		unit.host.share = share_piece;
		unit.host.unshare = unshare_piece;
		n_pieces = 0;
		pieces_allowed = allowed;
		unit_check(unit_rows(&unit.host, &config, &data, 1, &rows) == MML_OK &&
				   mml_run_create(&unit.host, rows, &config, &size, &run) == MML_OK, "%d pieces: %s", allowed,
				   unit_error(&unit.host));
		unit_check(size == 1, "%d pieces are enough for %d participants", allowed, size);
		unit_check(mml_run_take_part(run, &unit.host, &(mml_team) {.size = 1}) == MML_OK &&
				   mml_run_finish(run, &model) == MML_OK, "%d pieces: %s", allowed, unit_error(&unit.host));
		mml_run_free(run);
		mml_rows_free(rows);
		mml_model_free(model);
		unit_check(unit.n_held == 0 && pieces_held() == 0, "%d pieces: memory is kept", allowed);
	}
}

/* Participants of a training that asks for three under a limit; *bytes: what they need. 0: there is no room for one. */
static int
size_under(size_t limit, int asked, size_t *bytes)
{
	mml_config	config;
	unit_data	data;
	unit_host	unit;
	mml_rows   *rows;
	mml_run    *run;
	int			size = asked;

	unit_config_init(&config);
	unit_data_init(&data);
	/* what each has of its own is to matter */
	config.batch_size = 4096;
	unit_host_init(&unit);
	unit.host.memory_limit = limit;
	unit.host.share = share_piece;
	unit.host.unshare = unshare_piece;
	n_pieces = 0;
	pieces_allowed = MAX_PIECES;
	unit_check(unit_rows(&unit.host, &config, &data, 1, &rows) == MML_OK, "rows: %s", unit_error(&unit.host));
	if (mml_run_create(&unit.host, rows, &config, &size, &run) != MML_OK)
		size = 0;
	else
	{
		*bytes = mml_run_bytes(run);
		unit_check(limit == 0 || mml_run_own_bytes(run) > 0, "%d participants have nothing of their own", size);
		unit_check(limit == 0 || *bytes <= limit, "%zu bytes under a limit of %zu", *bytes, limit);
		mml_run_free(run);
	}
	mml_rows_free(rows);
	return size;
}

/* Where memory is not enough for all, fewer take part. */
static void
check_memory_of_team(void)
{
	size_t		one = 0;
	size_t		three = 0;
	size_t		bytes = 0;

	unit_check(size_under(0, 1, &one) == 1 && size_under(0, 3, &three) == 3 && three > one, "without a limit");
	unit_check(size_under(three, 3, &bytes) == 3, "room for three");
	unit_check(size_under(three - 1, 3, &bytes) == 2, "room for two");
	unit_check(size_under(one + (three - one) / 4, 3, &bytes) == 1, "room for one");
	unit_check(size_under(one / 2, 3, &bytes) == 0, "room for none");
}

int
main(void)
{
	mml_config	config;
	mml_config	plain;
	unit_data	data;

	mml_init();
	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = 1500;
	data.n_domains = 5;
	data.has_weights = true;
	config.epochs = 2;
	config.dropout = 0.3;
	config.experts_per_domain = 2;
	config.recipe = MML_RECIPE_AUTO;
	check_sizes("all starts", &config, &data);
	plain = config;
	/* several pieces of work for the experts' overlap */
	config.hidden[0] = 16;
	config.lora_reduce = 0;
	config.lora_rank = 12;
	config.expert_diversity = 0.1;
	config.gate_entropy = -0.1;
	check_sizes("penalties", &config, &data);
	config = plain;
	config.gate = MML_GATE_INPUT;
	config.recipe = MML_RECIPE_GATED;
	config.finetune = 1;
	/* a batch that slices do not divide, larger than the smallest memory for one */
	config.batch_size = 1029;
	check_sizes("gate over the input", &config, &data);
	config.finetune = 0;
	config.method = MML_MLORA;
	config.batch_size = 5;
	config.epochs = 1;
	data.n_rows = 600;
	check_sizes("mlora with batches smaller than slices", &config, &data);
	config.method = MML_BACKBONE;
	config.batch_size = 4096;
	check_sizes("backbone in one batch", &config, &data);
	config.batch_size = 100;
	config.method = MML_MOE_MLORA;
	config.recipe = MML_RECIPE_GATED;
	for (config.backbone = mml_backbone_find("deepfm"); config.backbone < mml_backbones(); config.backbone++)
		check_sizes(mml_backbone_name(config.backbone), &config, &data);
	check_warm_start();
	check_new_domain();
	check_without_sharing();
	check_memory_of_team();
	return unit_done();
}

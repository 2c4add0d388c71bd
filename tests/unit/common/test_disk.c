/* Reads from the data file: whole, aligned, at many places, and what happens without a file. */
#include "common/base/util.h"
#include "common/work/disk.h"
#include "common/work/job.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file that the servers use too: making one takes a while, so all tests share it. */
static struct disk open_disk(void)
{
    struct disk disk;
    disk_init(&disk, NULL);
    return disk;
}

Test(disk, makes_the_file_at_first_use)
{
    struct disk disk = open_disk();
    struct disk_read read;
    struct stat status;

    cr_assert_eq(disk.fd, -1);
    cr_assert_eq(disk_begin(&disk, 1, &read), 0);
    cr_assert_eq(stat(disk.path, &status), 0);
    cr_assert_eq(status.st_size, (off_t)DISK_FILE_MIB << 20);
    cr_assert_geq(status.st_blocks * 512, status.st_size, "it has holes, and reads would be free");
    disk_end(&read);
}

Test(disk, reads_whole_blocks_at_different_places)
{
    enum { READS = 200 };
    struct disk disk = open_disk();
    struct disk_read read;
    off_t last = -1;
    int same = 0, high = 0;

    for (int i = 0; i < READS; i++) {
        size_t bytes = 1 + (size_t)i * 700;
        cr_assert_eq(disk_begin(&disk, bytes, &read), 0);
        cr_assert(read.len >= bytes && read.len < bytes + DISK_BLOCK && read.len % DISK_BLOCK == 0);
        cr_assert_eq(read.offset % DISK_BLOCK, 0);
        cr_assert_leq(read.offset + (off_t)read.len, (off_t)DISK_FILE_MIB << 20);
        cr_assert_eq((uintptr_t)read.buffer % DISK_BLOCK, 0);
        cr_assert_eq(disk_perform(&read), (ssize_t)read.len);
        same += read.offset == last;
        high += read.offset > ((off_t)DISK_FILE_MIB << 19);
        last = read.offset;
        disk_end(&read);
    }
    cr_assert_lt(same, 3);
    cr_assert(high > READS / 4 && high < READS * 3 / 4, "%d of %d in the upper half", high, READS);
}

Test(disk, what_is_read_is_what_was_written)
{
    struct disk disk = open_disk();
    struct disk_read read;
    uint64_t plain;
    FILE *file;

    cr_assert_eq(disk_begin(&disk, DISK_BLOCK, &read), 0);
    cr_assert_eq(disk_perform(&read), DISK_BLOCK);
    file = fopen(disk.path, "re");
    cr_assert_not_null(file);
    cr_assert_eq(fseeko(file, read.offset, SEEK_SET), 0);
    cr_assert_eq(fread(&plain, sizeof plain, 1, file), 1);
    cr_assert_eq(memcmp(&plain, read.buffer, sizeof plain), 0);
    cr_assert_neq(plain, 0);
    fclose(file);
    disk_end(&read);
}

Test(disk, without_a_file_the_job_fails_and_stops)
{
    struct job job = {0};
    struct disk disk;

    disk_init(&disk, "/nowhere/disk.data");
    job.disk = &disk;
    job.program.steps = 2;
    job.program.step[0] = (struct step){.kind = STEP_DISK, .bytes = 4096};
    job.program.step[1] = (struct step){.kind = STEP_TIMER, .amount_ns = 60 * NSEC_PER_SEC};
    cr_assert_eq(job_start(&job, WAIT_NONE), WAIT_NONE);
    cr_assert_eq(job.error, -ENOENT);
}

Test(disk, a_job_hands_the_read_back)
{
    struct disk disk = open_disk();
    struct job job = {.disk = &disk};

    job.program.steps = 1;
    job.program.step[0] = (struct step){.kind = STEP_DISK, .bytes = 4096};
    cr_assert_eq(job_start(&job, WAIT_DISK), WAIT_DISK);
    cr_assert_eq(job_resume(&job, disk_perform(job_read(&job))), WAIT_NONE);
    cr_assert_eq(job.error, 0);

    cr_assert_eq(job_start(&job, WAIT_DISK), WAIT_DISK);
    job_block(&job); /* as a worker does */
    cr_assert_eq(job_resume(&job, 0), WAIT_NONE);
    cr_assert_eq(job.error, 0);

    cr_assert_eq(job_start(&job, WAIT_DISK), WAIT_DISK);
    cr_assert_eq(job_resume(&job, -EIO), WAIT_NONE);
    cr_assert_eq(job.error, -EIO);

    cr_assert_eq(job_start(&job, WAIT_DISK), WAIT_DISK);
    cr_assert_eq(job_resume(&job, 512), WAIT_NONE);
    cr_assert_eq(job.error, -EIO, "a part of it is not it");

    cr_assert_eq(job_start(&job, WAIT_NONE), WAIT_NONE);
    cr_assert_eq(job.error, 0, "a new request begins anew");
}

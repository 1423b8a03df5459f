package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/api/native"
	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/infra/backup"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/server"
)

func newBackupCommand(f *Factory) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy everything that a server keeps into one file",
		Long: "Copy everything that a server keeps into one file, while it goes on: projects, datasets, runs with their points and\n" +
			"files, models, deployments, predictions and their outcomes, keys. What was acknowledged before the backup began is\n" +
			"in it. Every file is checked on the way. The backup holds every secret of the server: keep it like one.",
		Example: "  trimtab backup --out monday.tar.zst\n" +
			"  trimtab backup --server http://models.example:7070 --out models.tar.zst",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.Client(cmd.Context())
			if err != nil {
				return err
			}
			return runBackup(cmd.Context(), f, client, cmp.Or(out, "trimtab-"+time.Now().UTC().Format("20060102-150405")+".tar.zst"))
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write; .tar for one that is not compressed (default trimtab-TIME.tar.zst)")
	return cmd
}

// backedUp is what a backup says of itself.
type backedUp struct {
	File      string    `json:"file"`
	Size      int64     `json:"size"`
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	Files     int64     `json:"files"`
	Bytes     int64     `json:"bytes"`
}

// runBackup reads the backup as it comes, so that it is known to be whole, and only then gives the file its name.
func runBackup(ctx context.Context, f *Factory, client *Client, path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fault.New(fault.Conflict, "the file %s is there already", path).WithHint("choose another name with --out"))
	}
	file, err := os.OpenFile(path+".partial", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "write the backup").WithHint("choose a place that can be written to with --out")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path+".partial"))
		}
	}()
	head, err := receive(ctx, f.IO, client, file, strings.HasSuffix(path, ".tar"))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	info, err := os.Stat(path + ".partial")
	if err != nil {
		return err
	}
	if err := os.Rename(path+".partial", path); err != nil {
		return err
	}
	done := backedUp{path, info.Size(), head.Version, head.CreatedAt, head.Files, head.Bytes}
	if f.JSON {
		return f.IO.JSON(done)
	}
	f.IO.Printf("%s: %s files, %s in %s\n", path, term.Count(head.Files), term.Bytes(head.Bytes), term.Bytes(info.Size()))
	return nil
}

func receive(ctx context.Context, out *term.IO, client *Client, file io.Writer, plain bool) (backup.Head, error) {
	progress := out.Progress("backup")
	defer progress.Done()
	res, err := client.send(ctx, http.MethodPost, "backup", nil, nil)
	if err != nil {
		return backup.Head{}, err
	}
	defer res.Body.Close()
	total, err := strconv.ParseInt(res.Header.Get(native.HeaderBackupBytes), 10, 64)
	if err != nil {
		total = 0 // unknown
	}
	sink := io.WriteCloser(nopCloser{file})
	if !plain {
		if sink, err = zstd.NewWriter(file); err != nil {
			return backup.Head{}, err
		}
	}
	counted := &counter{r: io.TeeReader(res.Body, sink), see: func(n int64) { progress.Update(min(n, total), total, "bytes", "") }}
	head, err := backup.Read(ctx, counted, nil)
	if err == nil { // what is behind the end: the padding of the archive
		_, err = io.Copy(io.Discard, counted)
	}
	if err != nil {
		return head, errors.Join(err, sink.Close())
	}
	return head, sink.Close()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// counter tells how many bytes went through.
type counter struct {
	r   io.Reader
	n   int64
	see func(int64)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	c.see(c.n)
	return n, err
}

func newRestoreCommand(f *Factory) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a state directory of a backup",
		Long: "Make a state directory of a backup, and its catalog in it or in a PostgreSQL, whichever it was in before. Nothing is\n" +
			"overwritten: the directory must be empty or not there, and the database must have no tables. When anything of the\n" +
			"backup is missing or damaged nothing is restored.",
		Example: "  trimtab restore monday.tar.zst --dir /var/lib/trimtab\n" +
			"  trimtab restore monday.tar.zst --dir new --catalog postgres://trimtab@db.example/trimtab",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := f.StateDirectory()
			if err != nil {
				return err
			}
			return runRestore(cmd.Context(), f, args[0], dir, cmp.Or(address, os.Getenv(catalogVariable)))
		},
	}
	cmd.Flags().StringVar(&address, "catalog", "", "postgres:// URL to put the catalog into (default: "+catalogVariable+", or a file in the directory)")
	return cmd
}

func runRestore(ctx context.Context, f *Factory, path, dir, address string) error {
	file, err := os.Open(path)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "read the backup").WithHint("give the file that `trimtab backup` wrote")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	progress := f.IO.Progress("restore")
	defer progress.Done()
	archive, done, err := backup.Unpack(&counter{r: file, see: func(n int64) { progress.Update(n, info.Size(), "bytes", "") }})
	if err != nil {
		return err
	}
	defer done()
	head, err := server.Restore(ctx, archive, dir, address)
	if err != nil {
		return err
	}
	progress.Done()
	if f.JSON {
		return f.IO.JSON(map[string]any{"dir": dir, "catalog": cmp.Or(catalog.Redact(address), filepath.Join(dir, server.CatalogFile)),
			"backup": backedUp{path, info.Size(), head.Version, head.CreatedAt, head.Files, head.Bytes}})
	}
	f.IO.Printf("%s: %s files of %s\n", dir, term.Count(head.Files), term.Time(head.CreatedAt))
	return nil
}

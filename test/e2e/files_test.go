package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	collaboardv1 "github.com/collaboard-io/collaboard/gen/collaboard/v1"
)

// TestKillsLoseNoFile kills the server while files are uploaded. Those that were said to be kept are, as they were; the
// others can be uploaded again.
func TestKillsLoseNoFile(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store string) {
		const kills, kept, uploaders, size = 3, 3, 3, 200_000
		srv := start(t, "127.0.0.1:0", store)
		addr := srv.addr
		board := createBoard(t, addr)
		boards := collaboardv1.NewBoardServiceClient(dial(t, addr))
		upload := func(content []byte) error {
			file, err := boards.UploadFile(t.Context(), &collaboardv1.UploadFileRequest{BoardId: board, Content: content, MediaType: "image/gif"})
			if sum := sha256.Sum256(content); err == nil && file.GetSha256() != hex.EncodeToString(sum[:]) {
				err = fmt.Errorf("it is kept as %v", file)
			}
			return err
		}
		var mu sync.Mutex
		acked, lost := [][]byte{}, [][]byte{} // as the uploader was told
		for kill := range kills {
			enough := make(chan struct{}, 1000)
			var running sync.WaitGroup
			for u := range uploaders {
				running.Go(func() {
					for i := 0; ; i++ {
						content := bytes.Repeat(fmt.Appendf(nil, "GIF89a %d %d %d", kill, u, i), size/10)
						err := upload(content)
						mu.Lock()
						if err != nil {
							lost = append(lost, content)
						} else {
							acked = append(acked, content)
						}
						mu.Unlock()
						enough <- struct{}{}
						if err != nil {
							return
						}
					}
				})
			}
			for range kept * uploaders {
				<-enough
			}
			srv.kill()
			running.Wait()
			srv = start(t, addr, store)
			boards = collaboardv1.NewBoardServiceClient(dial(t, addr)) // it need not wait before it connects
		}
		if len(acked) < kills*(kept-1)*uploaders {
			t.Errorf("%d files were kept, and %d not", len(acked), len(lost))
		}
		for _, content := range lost {
			if err := upload(content); err != nil {
				t.Error(err)
			}
		}
		for _, content := range append(acked, lost...) {
			sum := sha256.Sum256(content)
			stream, err := boards.GetFile(t.Context(), &collaboardv1.GetFileRequest{BoardId: board, Sha256: hex.EncodeToString(sum[:])})
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			piece, err := stream.Recv()
			for ; err == nil; piece, err = stream.Recv() {
				got = append(got, piece.GetContent()...)
			}
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, content) {
				t.Errorf("a file of %d bytes is %d now: %v", len(content), len(got), err)
			}
		}
	})
}

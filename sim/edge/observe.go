package edge

import "github.com/twohop/twohop/model"

// observe tells Config.Observe, if there is one, what passes through the server.
func (s *Server) observe(kind model.Kind, room, epoch, peer string, msgs []model.Message) {
	if s.cfg.Observe == nil {
		return
	}
	for i := range msgs {
		s.cfg.Observe(model.Event{Kind: kind, Room: room, Epoch: epoch, Seq: msgs[i].Seq, ID: msgs[i].ID, Peer: peer})
	}
}

"""Bundle to tracks on the vehicle. Never imports torch, onnx, pretrain or export."""

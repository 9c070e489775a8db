# SPDX-License-Identifier: Apache-2.0
"""What /openapi.json says about the API as a whole: seed 1's words, which its clients' generators expect."""

from typing import Any

from fastapi import FastAPI

from lerobot_arena.bridge.described_access import add_access

TITLE = "LeRobot Arena AI Server"
SUMMARY = "ACT Model Inference Server for Real-time Robot Control"
VERSION = "1.0.0"
DESCRIPTION = """\
## LeRobot Arena AI Server

This server provides **ACT (Action Chunking Transformer)** model inference for robotics applications.
It uses the LeRobot Arena communication system with multiple rooms per session for:

### Core Features:
- 🎥 **Multi-camera support**: Arbitrary number of camera streams with unique names
- 🤖 **Joint control**: Normalized joint value handling (-100 to +100 range)
- 🔄 **Real-time inference**: Optimized for robotics control loops
- 📊 **Session management**: Multiple concurrent inference sessions
- 🛠️ **Debug endpoints**: Comprehensive monitoring and debugging tools

### Communication Architecture:
1. **Camera rooms**: Receives video streams from robot cameras (supports multiple cameras)
2. **Joint input room**: Receives current robot joint positions (**NORMALIZED VALUES**)
3. **Joint output room**: Sends predicted joint commands (**NORMALIZED VALUES**)

### Supported Cameras:
Each camera stream has a unique name (e.g., "front", "wrist", "overhead")
and all streams are synchronized for inference.

### Joint Value Convention:
- All joint inputs/outputs use **NORMALIZED VALUES**
- Range: -100 to +100 for most joints, 0 to 100 for gripper
- Matches training data format exactly

### Getting Started:
1. Create a session with your trained ACT model
2. Connect your robot to the generated rooms
3. Start inference to begin real-time control
"""
CONTACT = {"name": "LeRobot Arena Team", "url": "https://github.com/huggingface/lerobot"}
LICENSE = {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0.html"}
LOGO = {
    "url": "https://huggingface.co/datasets/huggingface/brand-assets/resolve/main/hf-logo.png",
    "altText": "LeRobot Logo",
}
SERVERS: list[dict[str, Any]] = [
    {"url": "http://localhost:8001", "description": "Development server"},
    {"url": "https://your-production-server.com", "description": "Production server"},
]
TAGS = [
    {"name": "Health", "description": "Health check and server status endpoints"},
    {
        "name": "Sessions",
        "description": "Inference session management - create, control, and monitor AI sessions",
    },
    {"name": "Control", "description": "Session control operations - start, stop, restart inference"},
    {"name": "Debug", "description": "Debug and monitoring endpoints for system diagnostics"},
]


def describe(app: FastAPI) -> None:
    """Add to the app's OpenAPI what FastAPI has no argument for."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            schema["info"]["x-logo"] = LOGO
            add_access(schema)
        assert app.openapi_schema is not None
        return app.openapi_schema

    # FastAPI's documented way to extend the schema.
    app.openapi = openapi  # type: ignore[method-assign]
